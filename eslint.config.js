import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["node_modules/", ".venv/", "dist/", "build/", "test-results/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      complexity: ["error", 14],
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", { max: 60, skipComments: true }],
      "no-console": "error",
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
    },
  },
  { files: ["web/static/js/**", "tests/browser/**"], languageOptions: { globals: globals.browser } },
  {
    files: ["web/static/js/boot.js"], // it runs in the oldest of browsers
    languageOptions: { ecmaVersion: 5, sourceType: "script" },
    rules: { "no-unused-vars": ["error", { caughtErrors: "none" }], "no-var": "off" },
  },
  {
    files: ["tests/js/**"],
    languageOptions: { globals: globals.node },
    rules: { "max-lines-per-function": "off" },
  },
];
