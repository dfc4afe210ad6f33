import assert from "node:assert/strict";
import { test } from "node:test";

import { spell } from "../../web/static/js/clock.js";

test("durations as people read them", () => {
  /** @type {[number, string][]} */
  const table = [
    [-5, "0:00"],
    [0, "0:00"],
    [999, "0:00"],
    [7_000, "0:07"],
    [59_999, "0:59"],
    [60_000, "1:00"],
    [760_000, "12:40"],
    [3_599_999, "59:59"],
    [3_600_000, "1:00:00"],
    [36_123_000, "10:02:03"],
  ];
  for (const [ms, text] of table) assert.equal(spell(ms), text);
});
