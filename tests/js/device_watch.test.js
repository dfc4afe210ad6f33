import assert from "node:assert/strict";
import { test } from "node:test";

import { DeviceWatch } from "../../web/static/js/device_watch.js";
import { FakeClock } from "./support/clock.js";

const OFF = { audio: false, video: false };

/** Devices that come back with the given try; 0: they never went away. @param {number} backWith */
function desk(backWith) {
  const clock = new FakeClock();
  /** @type {number[]} */
  const tries = [];
  const opening = { lasts_ms: 0 };
  const devices = {
    lost: { audio: false, video: backWith > 0 },
    silenced: OFF,
    sending: { audio: true, video: true },
    async regain() {
      tries.push(clock.now());
      await new Promise((resolve) => clock.setTimeout(() => resolve(null), opening.lasts_ms));
      if (tries.length === backWith) devices.lost = OFF;
    },
  };
  const plugs = new EventTarget();
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  /** @type {string[]} */
  const said = [];
  const watch = new DeviceWatch(devices, (text) => said.push(text), plugs, /** @type {any} */ (page), clock);
  const plug = () => plugs.dispatchEvent(new Event("devicechange"));
  /** @param {string} visibility */
  const turn = (visibility) => {
    page.visibilityState = visibility;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  return { clock, tries, opening, devices, watch, said, plug, turn };
}

for (const [
  what,
  backWith,
  act,
  expected,
] of /** @type {[string, number, (made: any) => void, number[]][]} */ ([
  ["something is plugged in, and nothing is missing", 0, ({ plug }) => plug(), []],
  ["the device is plugged in", 1, ({ plug }) => plug(), [300]],
  ["the device needs a moment", 2, ({ plug }) => plug(), [300, 1500]],
  ["something else is plugged in", 9, ({ plug }) => plug(), [300, 1500, 5500]],
  ["one plug is told of several times", 1, ({ plug }) => (plug(), plug(), plug()), [300]],
  ["the page is seen again", 1, ({ turn }) => turn("visible"), [300]],
  ["the page is hidden", 1, ({ turn }) => turn("hidden"), []],
])) {
  test(`${what}: tries at ${expected}, and no timer is left`, async () => {
    const made = desk(backWith);
    act(made);
    await made.clock.pass(60_000);
    assert.deepEqual([made.tries, made.clock.running], [expected, 0]);
  });
}

test("what is plugged in later is another occasion", async () => {
  const { clock, tries, plug } = desk(5);
  plug();
  await clock.pass(60_000);
  plug();
  await clock.pass(60_000);
  assert.deepEqual(tries, [300, 1500, 5500, 60_300, 61_500]);
});

test("what is plugged in during a try begins the tries again", async () => {
  const { clock, tries, opening, plug } = desk(9);
  opening.lasts_ms = 100;
  plug();
  await clock.pass(350);
  plug();
  await clock.pass(60_000);
  assert.deepEqual([tries, clock.running], [[300, 650, 1950, 6050], 0]);
});

test("each change is said once", () => {
  const { devices, watch, said } = desk(0);
  devices.lost = { audio: false, video: true };
  for (let time = 0; time < 2; time++) watch.changed();
  devices.lost = OFF;
  for (let time = 0; time < 2; time++) watch.changed();
  assert.deepEqual(said, [
    "Your camera was unplugged, or another program took it. It is used again when it is back.",
    "Your camera is back.",
  ]);
});
