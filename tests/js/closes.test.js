import assert from "node:assert/strict";
import { test } from "node:test";

import { afterClose } from "../../web/static/js/closes.js";
import { AFTER_CLOSE } from "../../web/static/js/protocol.js";

for (const [code, then] of AFTER_CLOSE) {
  const isSoon = then === "soon" || then === "scattered";
  test(`${code}: ${then}, ${isSoon ? "without a word" : "with a sentence that says why"}`, () => {
    const asked = afterClose(code);
    assert.equal(asked.then, then);
    assert.equal(asked.message === "", isSoon);
  });
}

test("any other code is a connection that was lost", () => {
  for (const code of [1000, 1001, 1006, 4999]) {
    assert.deepEqual(afterClose(code), { then: "soon", message: "" });
  }
});
