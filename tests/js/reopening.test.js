import assert from "node:assert/strict";
import { test } from "node:test";
import { Reopening } from "../../web/static/js/reopening.js";
import { Waits, WAITS } from "../../web/static/js/waits.js";
import { FakeClock, settle } from "./support/clock.js";

const BOTH = { audio: true, video: true };
const NO_CAMERA = { title: "no camera", fallback: { audio: true, video: false } };
const NEITHER = { title: "neither", fallback: { audio: false, video: false } };

/** Somebody whose devices answer like this, one time after the other; then they never answer. @param {any[]} answers */
function reloaded(answers) {
  const clock = new FakeClock();
  /** @type {any[]} */
  const asked = [];
  /** @type {string[]} */
  const told = [];
  const devices = {
    choice: BOTH,
    open: (/** @type {any} */ want) => {
      asked.push(want);
      return answers.length > 0 ? Promise.resolve(answers.shift()) : new Promise(() => {});
    },
  };
  const reopening = new Reopening({
    waits: new Waits(() => {}, clock),
    devices: /** @type {any} */ (devices),
    onProblem: ({ title }) => told.push(title),
  });
  return { clock, asked, told, reopening, end: reopening.begin() };
}

for (const [what, answers, asked, told] of /** @type {[string, any[], any[], string[]][]} */ ([
  ["all open", [null], [BOTH], []],
  ["a camera is busy", [NO_CAMERA, null], [BOTH, NO_CAMERA.fallback], ["no camera"]],
  [
    "nothing opens",
    [NO_CAMERA, NEITHER, null],
    [BOTH, NO_CAMERA.fallback, NEITHER.fallback],
    ["no camera", "neither"],
  ],
])) {
  test(`where ${what}, what opens is open, and the rest is told`, async () => {
    const page = reloaded([...answers]);
    await page.end;
    assert.deepEqual([page.asked, page.told, page.clock.running], [asked, told, 0]);
  });
}

for (const [what, end] of /** @type {const} */ ([
  ["who leaves the call meanwhile", "stop"],
  ["who does not answer the browser", "overdue"],
])) {
  test(`${what} is asked no further`, async () => {
    const { clock, asked, reopening, end: ended } = reloaded([NO_CAMERA]);
    await settle();
    if (end === "stop") reopening.stop();
    else await clock.pass(WAITS.devices.limit_ms);
    await ended;
    assert.equal(asked.length, 2);
    assert.equal(clock.running, 0);
  });
}
