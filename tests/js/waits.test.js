import assert from "node:assert/strict";
import { test } from "node:test";
import { Overdue, Waits, WAITS, Withdrawn } from "../../web/static/js/waits.js";
import { FakeClock, settle } from "./support/clock.js";

const KINDS = /** @type {import("../../web/static/js/waits.js").What[]} */ (Object.keys(WAITS));
const never = () => new Promise(() => {});

function waiting() {
  const clock = new FakeClock();
  let changes = 0;
  const waits = new Waits(() => (changes += 1), clock);
  return { clock, waits, changes: () => changes };
}

for (const what of KINDS) {
  test(`waiting for ${what} has an end, and leaves no timer`, async () => {
    const { clock, waits } = waiting();
    const { limit_ms } = WAITS[what];
    assert.ok(limit_ms > 0 && limit_ms <= 60_000);
    const result = waits.within(what, never(), new AbortController().signal);
    const failed = assert.rejects(result, (error) => error instanceof Overdue && error.what === what);
    await clock.pass(limit_ms - 1);
    assert.deepEqual(waits.get(what), { what, since: 0, until: limit_ms, overdue: false });
    await clock.pass(1);
    await failed;
    assert.equal(waits.get(what), null);
    assert.equal(clock.running, 0);
  });
}

test("what comes in time is the result, and what fails is the failure", async () => {
  const { clock, waits } = waiting();
  const { signal } = new AbortController();
  assert.equal(await waits.within("line", Promise.resolve("up"), signal), "up");
  await assert.rejects(waits.within("line", Promise.reject(new Error("no")), signal), /no/);
  assert.equal(clock.running, 0);
});

test("a wait that is withdrawn makes room at once for another of its kind", async () => {
  const { clock, waits } = waiting();
  const first = new AbortController();
  const one = assert.rejects(waits.within("guest", never(), first.signal), Withdrawn);
  first.abort();
  const other = waits.within("guest", Promise.resolve(2), new AbortController().signal);
  assert.notEqual(waits.get("guest"), null, "the end of the first does not end the second");
  await one;
  assert.equal(await other, 2);
  await assert.rejects(waits.within("guest", never(), first.signal), Withdrawn, "aborted before it began");
  assert.equal(clock.running, 0);
});

test("a promise takes the place of another that is waited for as the same kind", async () => {
  const { clock, waits } = waiting();
  const { signal } = new AbortController();
  const one = assert.rejects(waits.within("devices", never(), signal), Withdrawn);
  await clock.pass(WAITS.devices.limit_ms - 1);
  const other = assert.rejects(waits.within("devices", never(), signal), Overdue);
  await one;
  await clock.pass(1);
  assert.equal(waits.get("devices")?.overdue, false, "its time begins with it");
  await clock.pass(WAITS.devices.limit_ms);
  await other;
  assert.equal(clock.running, 0);
});

test("what goes on by itself is overdue until it ends, and is told of once", async () => {
  const { clock, waits, changes } = waiting();
  let times = 0;
  waits.begin("mend", () => (times += 1));
  await clock.pass(1_000);
  waits.begin("mend", () => (times += 10));
  await clock.pass(WAITS.mend.limit_ms);
  assert.equal(waits.get("mend")?.overdue, true);
  assert.equal(times, 1);
  waits.end("mend");
  waits.end("mend");
  assert.equal(waits.get("mend"), null);
  assert.equal(changes(), 3, "it began, was overdue, ended");
});

test("what comes after the limit, and fails, disturbs nobody", async () => {
  const { clock, waits } = waiting();
  /** @type {(error: Error) => void} */
  let fail = () => {};
  const late = new Promise((_, reject) => (fail = reject));
  const failed = assert.rejects(waits.within("guest", late, new AbortController().signal), Overdue);
  await clock.pass(WAITS.guest.limit_ms);
  await failed;
  fail(new Error("too late"));
  await settle();
});
