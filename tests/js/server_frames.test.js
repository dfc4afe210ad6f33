import assert from "node:assert/strict";
import { test } from "node:test";

import { readFrame } from "../../web/static/js/server_frames.js";

/** @param {object} fields of a `state` */
const nextSearch = (fields) => {
  const frame = readFrame(JSON.stringify({ type: "state", state: "ended", ...fields }));
  return frame?.type === "state" ? frame.search_again_ms : "no state";
};

test("when the server searches again is known", () => {
  assert.equal(nextSearch({ search_again_ms: 700, search_again_in: 700 }), 700);
  assert.equal(nextSearch({ search_again_ms: 0, search_again_in: 0 }), 0);
  assert.equal(nextSearch({ search_again_ms: null, search_again_in: null }), null);
});

test("a server that has dropped the former name is understood", () => {
  assert.equal(nextSearch({ search_again_ms: 700 }), 700);
  assert.equal(nextSearch({ search_again_ms: null }), null);
});

test("a server that was not upgraded yet is understood by the former name", () => {
  assert.equal(nextSearch({ search_again_in: 500 }), 500);
  assert.equal(nextSearch({ search_again_in: 0 }), 0);
  assert.equal(nextSearch({ search_again_in: null }), null);
});

test("a frame that this page does not know is passed on as it is", () => {
  assert.deepEqual(readFrame('{"type":"later","n":1}'), { type: "later", n: 1 });
});

for (const text of ["", "nonsense", "null", "7", "[]", "{}", '{"type":7}', new ArrayBuffer(2)]) {
  test(`no frame: ${JSON.stringify(text)}`, () => assert.equal(readFrame(text), null));
}
