import assert from "node:assert/strict";
import { test } from "node:test";
import { Finding, STEPS } from "../../web/static/js/finding.js";
import { IdentityError } from "../../web/static/js/identity.js";
import { Waits, WAITS } from "../../web/static/js/waits.js";
import { FakeClock, settle } from "./support/clock.js";

const WANT = { audio: true, video: true };
const BUSY = /** @type {any} */ ({ title: "busy" });

/** Somebody who presses Find Partner. Each step of `stuck` never comes to an end. @param {Record<string, any>} change */
function entrance(change = {}) {
  const clock = new FakeClock();
  const waits = new Waits(() => {}, clock);
  /** @type {string[]} what was done, in order */
  const done = [];
  /** @type {((fate: any) => void)[]} */
  const fates = [];
  /** @type {unknown[]} */
  const reports = [];
  /** @param {string} what @param {any} value */
  const does = (what, value) => () => (done.push(what), value);
  const means = {
    waits,
    isIn: () => false,
    comeIn: does("comeIn", Promise.resolve()),
    lineIsUp: does("lineIsUp", Promise.resolve()),
    left: () => null,
    cannotCall: () => null,
    openDevices: does("openDevices", Promise.resolve(null)),
    closeDevices: does("closeDevices", undefined),
    takeBack: does("takeBack", undefined),
    report: (/** @type {unknown} */ error) => reports.push(error),
    ask: (/** @type {any} */ onFate) => (done.push("ask"), fates.push(onFate)),
    ...change,
  };
  const finding = new Finding(/** @type {any} */ (means));
  return { clock, waits, done, fates, reports, finding, outcome: finding.begin("Ada", WANT) };
}

const never = () => new Promise(() => {});

test("a name, a line, devices, then the question; and the server searches", async () => {
  const { done, finding, outcome } = entrance();
  assert.equal(finding.underway, true);
  await settle();
  assert.deepEqual(done, ["comeIn", "lineIsUp", "openDevices", "ask"]);
  finding.begun();
  assert.deepEqual(await outcome, { kind: "searching" });
  assert.equal(finding.underway, false);
});

test("a second press changes nothing", async () => {
  const { done, finding } = entrance({ comeIn: never });
  assert.deepEqual(await finding.begin("Ada", WANT), { kind: "withdrawn" });
  assert.deepEqual(done, []);
});

const STUCK = /** @type {const} */ ([
  ["guest", { comeIn: never }],
  ["line", { lineIsUp: never }],
  ["leave", { left: never }],
  ["devices", { openDevices: never }],
  ["search", {}],
]);

test("each step is tried below", () =>
  assert.deepEqual(
    [...STEPS],
    STUCK.map(([step]) => step),
  ));

for (const [step, change] of STUCK) {
  test(`stuck at ${step}: it comes to an end, and one can try again`, async () => {
    const { clock, done, waits, finding, outcome } = entrance(change);
    await settle();
    assert.notEqual(waits.get(step), null);
    await clock.pass(WAITS[step].limit_ms);
    const { kind, problem } = /** @type {any} */ (await outcome);
    assert.equal(kind, step === "devices" ? "problem" : "refused");
    if (step === "devices") assert.equal(problem.reason, "unanswered");
    assert.ok(done.includes("closeDevices"), "what opens too late is closed");
    assert.equal(done.includes("takeBack"), step === "search");
    assert.equal(finding.underway, false);
    assert.equal(clock.running, 0);
  });

  test(`stuck at ${step}: the person can withdraw`, async () => {
    const { clock, done, finding, outcome } = entrance(change);
    await settle();
    finding.withdraw();
    assert.equal(finding.underway, false);
    assert.deepEqual(await outcome, { kind: "withdrawn" });
    assert.equal(done.includes("takeBack"), step === "search");
    assert.equal(clock.running, 0);
  });
}

for (const [what, change, expected, last] of /** @type {const} */ ([
  [
    "a name that is refused",
    { comeIn: () => Promise.reject(new IdentityError("No such name.", 0, true)) },
    { kind: "name", message: "No such name." },
    undefined,
  ],
  [
    "a guest who is refused for another reason",
    { comeIn: () => Promise.reject(new IdentityError("Too many. Wait 5 s.", 5_000)) },
    { kind: "refused", message: "Too many. Wait 5 s." },
    undefined,
  ],
  ["a browser without WebRTC", { cannotCall: () => BUSY }, { kind: "problem", problem: BUSY }, "lineIsUp"],
  [
    "a camera that is busy",
    { openDevices: async () => BUSY },
    { kind: "problem", problem: BUSY },
    "lineIsUp",
  ],
])) {
  test(`${what}: nobody is searched for`, async () => {
    const { done, outcome } = entrance(change);
    assert.deepEqual(await outcome, expected);
    assert.equal(done.at(-1), last);
  });
}

for (const end of /** @type {const} */ (["withdrawn", "overdue"])) {
  test(`a guest that comes after the attempt was ${end} is not taken`, async () => {
    /** @type {AbortSignal | undefined} */
    let wanted;
    const comeIn = (/** @type {string} */ _, /** @type {AbortSignal} */ signal) => (
      (wanted = signal),
      never()
    );
    const { clock, finding, outcome } = entrance({ comeIn });
    await settle();
    assert.equal(wanted?.aborted, false);
    if (end === "withdrawn") finding.withdraw();
    else await clock.pass(WAITS.guest.limit_ms);
    await outcome;
    assert.equal(wanted?.aborted, true);
  });
}

test("what nobody foresaw is reported, and the person reads a sentence", async () => {
  const error = new TypeError("not what it seems");
  const { reports, finding, outcome } = entrance({ comeIn: () => Promise.reject(error) });
  const { kind, message } = /** @type {any} */ (await outcome);
  assert.equal(kind, "refused");
  assert.match(message, /^Something went wrong in this page\./);
  assert.deepEqual(reports, [error]);
  assert.equal(finding.underway, false);
});

test("a search that the server refuses is over", async () => {
  const { finding, outcome } = entrance();
  await settle();
  finding.refused();
  assert.deepEqual(await outcome, { kind: "refused", message: "" });
});

test("a search that a restarted server has never heard of is said again, but not for ever", async () => {
  const { done, fates, outcome } = entrance();
  await settle();
  for (const fate of ["waits", "lost", "lost", "lost"]) fates.at(-1)?.(fate);
  assert.equal(done.filter((what) => what === "ask").length, 3);
  assert.deepEqual(await outcome, { kind: "refused", message: WAITS.search.overdue });
});

test("what becomes of a search that was withdrawn changes nothing", async () => {
  const { done, fates, finding } = entrance();
  await settle();
  finding.withdraw();
  fates[0]?.("lost");
  assert.equal(done.at(-1), "takeBack");
});
