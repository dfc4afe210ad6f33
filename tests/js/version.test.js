import assert from "node:assert/strict";
import { test } from "node:test";

import { LATER, lossOf, Version, YOURSELF } from "../../web/static/js/version.js";
import { FakeClock } from "./support/clock.js";

const AT_REST = {
  snapshot: { state: "idle" },
  link: { status: "open" },
  step: null,
  problem: null,
  name: "Ada",
  typed: "Ada",
  draft: "",
  notice: "",
};
const BLOCKED = () => {
  throw new DOMException("as the test wants it", "SecurityError");
};

/** What a tab keeps over reloads. */
function aTab() {
  /** @type {Map<string, string>} */
  const kept = new Map();
  return {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
  };
}

/** A page of this build that has just been loaded. @param {string | undefined} own @param {any} [storage] */
function aPage(own, storage = aTab()) {
  const clock = new FakeClock();
  const page = { look: { ...AT_REST }, said: /** @type {string[]} */ ([]), reloads: 0, clock };
  const version = new Version({
    own,
    look: () => page.look,
    say: (text) => page.said.push(text),
    reload: () => (page.reloads += 1),
    storage: typeof storage === "function" ? storage : () => storage,
    clock,
  });
  return Object.assign(page, { hear: (/** @type {string | undefined} */ build) => version.hear(build) });
}

test("nothing is lost at the entrance, and everything else would be", () => {
  assert.equal(lossOf(AT_REST), null);
  assert.equal(lossOf({ ...AT_REST, name: "", typed: "" }), null);
  assert.equal(lossOf({ ...AT_REST, typed: "" }), null);
  assert.equal(lossOf({ ...AT_REST, notice: "Skip will be done as soon as…" }), "notice");
  for (const state of ["searching", "connecting", "connected", "ended"]) {
    assert.equal(lossOf({ ...AT_REST, snapshot: { state } }), "session");
  }
  for (const status of ["off", "connecting", "waiting", "stopped"]) {
    assert.equal(lossOf({ ...AT_REST, link: { status } }), "session");
  }
  for (const change of [{ step: "guest" }, { problem: {} }, { typed: "Grace" }, { draft: "hello" }]) {
    assert.equal(lossOf({ ...AT_REST, ...change }), "session");
  }
});

test("a page at rest is loaded again without a word", async () => {
  const page = aPage("old");
  page.hear("new");
  assert.equal(page.reloads, 0, "what follows the welcome has to arrive");
  await page.clock.pass(1_000);
  assert.deepEqual([page.reloads, page.said], [1, []]);
});

test("the same build, and a server that says none, change nothing", async () => {
  for (const [own, told] of [
    ["old", "old"],
    ["old", undefined],
    ["old", ""],
  ]) {
    const page = aPage(own);
    page.hear(told);
    await page.clock.pass(60_000);
    assert.deepEqual([page.reloads, page.said, page.clock.running], [0, [], 0]);
  }
});

test("a session is not lost: it is said once, and the page is loaded when it is over", async () => {
  const page = aPage("old");
  page.look = { ...AT_REST, snapshot: { state: "connected" } };
  page.hear("new");
  await page.clock.pass(600_000);
  assert.deepEqual([page.reloads, page.said], [0, [LATER]]);
  page.hear("new");
  await page.clock.pass(10_000);
  assert.deepEqual([page.reloads, page.said], [0, [LATER]], "after another drop of the line, too");
  page.look = AT_REST;
  await page.clock.pass(1_000);
  assert.equal(page.reloads, 1);
});

test("a notice is read first", async () => {
  const page = aPage("old");
  page.look = { ...AT_REST, notice: "Your place was given up." };
  page.hear("new");
  await page.clock.pass(5_000);
  assert.deepEqual([page.reloads, page.said], [0, []]);
  page.look = AT_REST;
  await page.clock.pass(1_000);
  assert.equal(page.reloads, 1);
});

test("a server that went back before the page was loaded again changes its mind", async () => {
  const page = aPage("old");
  page.look = { ...AT_REST, snapshot: { state: "connected" } };
  page.hear("new");
  await page.clock.pass(5_000);
  page.hear("old");
  page.look = AT_REST;
  await page.clock.pass(60_000);
  assert.deepEqual([page.reloads, page.clock.running], [0, 0]);
});

test("two servers of different builds behind one address do not make a tab load for ever", async () => {
  const tab = aTab();
  let loads = 0;
  for (const [own, told] of Array.from({ length: 20 }, (_, time) =>
    time % 2 ? ["one", "other"] : ["other", "one"],
  )) {
    const page = aPage(own, tab);
    page.hear(told);
    await page.clock.pass(60_000);
    loads += page.reloads;
  }
  assert.equal(loads, 2, "once for each");
});

test("a page that gets the old build again when it is loaded stays as it is", async () => {
  const tab = aTab();
  for (const reloads of [1, 0, 0]) {
    const page = aPage("old", tab);
    page.hear("new");
    await page.clock.pass(60_000);
    assert.equal(page.reloads, reloads);
  }
});

test("a tab that may keep nothing is never loaded again by itself", async () => {
  const broken = { getItem: BLOCKED, setItem: BLOCKED };
  const garbled = { getItem: () => "{", setItem: BLOCKED };
  for (const storage of [BLOCKED, broken, garbled]) {
    const page = aPage("old", storage);
    page.hear("new");
    await page.clock.pass(60_000);
    assert.deepEqual([page.reloads, page.said], [0, [YOURSELF]]);
  }
});
