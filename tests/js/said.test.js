/** What is said is heard once, or whoever said it learns that it was not. */

/** @typedef {import("./support/pages.js").Page} Page */

import assert from "node:assert/strict";
import { test } from "node:test";

import { KEPT_MAX } from "../../web/static/js/said.js";
import { settle } from "./support/clock.js";
import { drop, IN_CALL, inCall, written } from "./support/pages.js";

test("frames have numbers from 1, pings have none", async () => {
  const page = await inCall();
  page.say("a");
  page.signaling.nudge();
  page.signaling.send({ type: "skip", session: "s" });
  assert.deepEqual(written(page), [
    [1, "a"],
    [undefined, "ping"],
    [2, "skip"],
  ]);
});

test("what was not heard is said again after a resume, under the same numbers and in order", async () => {
  const page = await inCall();
  for (const text of ["a", "b", "c"]) page.say(text);
  await drop(page);
  page.say("d");
  await page.world.welcome({ resumed: true, heard: 1 }, IN_CALL);
  assert.deepEqual(written(page), [
    [2, "b"],
    [3, "c"],
    [4, "d"],
  ]);
  await drop(page);
  await page.world.welcome({ resumed: true, heard: 4 }, IN_CALL);
  page.say("e");
  assert.deepEqual(written(page), [[5, "e"]]);
});

test("whoever says something learns what becomes of it", async () => {
  const page = await inCall();
  page.say("a");
  assert.deepEqual(page.fates, [], "an open line is trusted at first");
  page.world.socket.hangUp(1006);
  page.say("b");
  assert.deepEqual(page.fates.splice(0), [
    ["a", "waits"],
    ["b", "waits"],
  ]);
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true, heard: 1 }, IN_CALL);
  assert.deepEqual(page.fates.splice(0), [["a", "heard"]]);
  page.world.socket.say({ type: "pong", seq: 9, heard: 2 });
  assert.deepEqual(page.fates, [["b", "heard"]]);
});

test("a second after something was said the page asks whether it was heard; a dead line is found soon", async () => {
  const page = await inCall();
  page.say("a");
  await page.clock.pass(1_000);
  assert.deepEqual(written(page).at(-1), [undefined, "ping"]);
  page.world.socket.say({ type: "pong", seq: 9, heard: 1 });
  await page.clock.pass(15_000);
  assert.equal(written(page).length, 2, "and asks no more when it was");
  page.say("b");
  await page.clock.pass(8_000);
  assert.equal(page.world.sockets.length, 2);
  assert.deepEqual(page.fates.at(-1), ["b", "waits"]);
});

test("nothing about a session is said on a new line before it is known which session that is", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  page.say("too late");
  page.signaling.send({ type: "skip", session: "s" });
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true, heard: 0 }, { state: "searching", session: null });
  assert.deepEqual(written(page), []);
  assert.deepEqual(page.fates, [
    ["too late", "waits"],
    ["too late", "lost"],
  ]);
});

test("in the rest after a session only its end can still be said", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  page.say("too late");
  page.signaling.send({ type: "skip", session: "s" });
  page.signaling.send({ type: "end", session: "s" });
  await page.clock.pass(400);
  await page.world.welcome(
    { resumed: true, heard: 0 },
    { state: "ended", session: "s", cause: "partner_skipped" },
  );
  assert.deepEqual(written(page), [[1, "end"]]);
});

test("what was said just before one left oneself was heard; before the partner left, nobody knows", async () => {
  for (const [cause, fate] of /** @type {const} */ ([
    ["skipped", "heard"],
    ["ended", "heard"],
    ["partner_skipped", "unsure"],
    ["partner_lost", "unsure"],
  ])) {
    const page = await inCall();
    page.say("bye");
    page.world.socket.say({ type: "state", seq: 3, state: "ended", session: "s", cause });
    assert.deepEqual(page.fates, [["bye", fate]]);
  }
});

test("somebody new: numbers start again, and what the former one said is given up", async () => {
  const page = await inCall();
  page.say("a");
  page.world.socket.hangUp(1006);
  page.say("b");
  page.signaling.send({ type: "skip", session: "s" });
  page.signaling.send({ type: "cancel" });
  await page.clock.pass(400);
  await page.world.welcome({ resumed: false, heard: 0 });
  assert.deepEqual(written(page), []);
  assert.deepEqual(page.fates.slice(-2), [
    ["a", "lost"],
    ["b", "lost"],
  ]);
  page.signaling.send({ type: "search", criteria: {} });
  assert.deepEqual(written(page), [[1, "search"]]);
});

test("a search that was pressed while the line was down is still meant by somebody new", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  page.signaling.send({ type: "cancel" });
  page.signaling.send({ type: "search", criteria: {} });
  await page.clock.pass(400);
  await page.world.welcome({ resumed: false, heard: 0 });
  assert.deepEqual(written(page), [[1, "search"]]);
});

test("a search that was taken back while the line was down is not", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  page.signaling.send({ type: "search", criteria: {} });
  page.signaling.send({ type: "cancel" });
  await page.clock.pass(400);
  await page.world.welcome({ resumed: false, heard: 0 });
  assert.deepEqual(written(page), []);
});

test("a search that was written and perhaps not heard: whoever wants it is told, and may say it again", async () => {
  const page = await inCall();
  const search = () =>
    page.signaling.send({ type: "search", criteria: {} }, (fate) => fate === "lost" && search());
  search();
  await drop(page);
  await page.world.welcome({ resumed: false, heard: 0 });
  assert.deepEqual(written(page), [[1, "search"]]);
});

test("what is pressed twice while the line is down is said once", async () => {
  const page = await inCall();
  page.signaling.send({ type: "skip", session: "s" });
  page.world.socket.hangUp(1006);
  for (let time = 0; time < 100; time++) page.signaling.send({ type: "skip", session: "s" });
  page.signaling.send({ type: "end", session: "s" });
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true, heard: 0 }, IN_CALL);
  assert.deepEqual(written(page), [
    [1, "skip"],
    [2, "end"],
  ]);
});

test("whoever said what was refused is told, after the reason", async () => {
  const page = await inCall();
  page.say("a");
  page.say("b");
  page.world.socket.say({ type: "error", seq: 3, code: "too_fast", message: "Slow down.", n: 1 });
  assert.deepEqual(page.fates.splice(0), [["a", "refused"]]);
  page.world.socket.say({ type: "pong", seq: 4, heard: 2 });
  assert.deepEqual(page.fates, [["b", "heard"]]);
});

test("what was refused can be pressed again at once", async () => {
  const page = await inCall();
  page.signaling.send({ type: "search", criteria: {} });
  page.world.socket.say({ type: "error", seq: 3, code: "wait", message: "Not yet.", about: "search" });
  page.signaling.send({ type: "search", criteria: {} });
  assert.deepEqual(written(page), [
    [1, "search"],
    [2, "search"],
  ]);
});

test("a stuck key: what is pressed is said at the pace that the server allows, and no more is kept", async () => {
  const page = await inCall();
  for (let time = 0; time < 2_000; time++) {
    page.signaling.send({ type: "skip", session: "s" });
    await page.clock.pass(33);
    const numbers = page.world.socket.sent.map(({ n }) => n ?? 0);
    if (time % 15 === 0) page.world.socket.say({ type: "pong", seq: 9, heard: Math.max(...numbers) });
  }
  assert.ok(written(page).length <= 60 + 67 * 17, `${written(page).length} frames in 66 s`);
  assert.equal(page.world.sockets.length, 1);
});

test("a server that does not count: no numbers, nothing said twice, as ever", async () => {
  const page = await inCall({});
  page.say("a");
  assert.deepEqual(page.world.socket.sent.at(-1), { type: "chat", session: "s", text: "a" });
  assert.deepEqual(page.fates.splice(0), [["a", "heard"]]);
  page.world.socket.hangUp(1006);
  page.say("b");
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true }, IN_CALL);
  assert.deepEqual(written(page), [[undefined, "b"]]);
  assert.deepEqual(page.fates, [
    ["b", "waits"],
    ["b", "heard"],
  ]);
  await page.clock.pass(15_000);
  assert.equal(written(page).length, 1, "and it is asked nothing but whether it is there, after a heartbeat");
});

test("a server that counts and restarts as one that does not, and the other way round", async () => {
  const page = await inCall();
  page.say("a");
  await drop(page);
  await page.world.welcome({ resumed: true }, IN_CALL);
  page.say("b");
  assert.deepEqual(written(page), [[undefined, "b"]]);
  await drop(page);
  page.say("c");
  await page.world.welcome({ resumed: true, heard: 7 }, IN_CALL);
  assert.deepEqual(written(page), [[8, "c"]], "numbers go on behind what was heard");
});

test("little is kept: the page asks what was heard before it is too much", async () => {
  const page = await inCall();
  for (let time = 0; time < 150; time++) {
    page.say(`${time}`);
    await page.clock.pass(60);
    const last = page.world.socket.sent.at(-1);
    if (last.type === "ping") page.world.socket.say({ type: "pong", seq: 9, heard: time });
  }
  await page.clock.pass(3_000);
  assert.equal(page.fates.filter(([, fate]) => fate === "lost").length, 0);
  const numbers = page.world.sockets.flatMap(({ sent }) => sent.map(({ n }) => n).filter(Boolean));
  assert.deepEqual(
    numbers,
    Array.from({ length: 150 }, (_, index) => index + 1),
  );
});

test("while the line is down little is kept, and nothing is lost in silence", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  let signals = 0;
  for (let time = 0; time < KEPT_MAX / 2; time++) {
    page.signaling.send({ type: "signal", session: "s", data: time }, (fate) => {
      if (fate === "lost") signals += 1;
    });
  }
  for (let time = 0; time < KEPT_MAX + 5; time++) page.say(`${time}`);
  page.signaling.send({ type: "skip", session: "s" });
  const lost = page.fates.filter(([, fate]) => fate === "lost").map(([text]) => text);
  assert.equal(signals, KEPT_MAX / 2, "first the signals, which a call can say again");
  assert.deepEqual(lost, ["200", "201", "202", "203", "204"], "then what was written last, and it is marked");
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true, heard: 0 }, IN_CALL);
  await page.clock.pass(3_000);
  await page.world.socket.say({ type: "pong", seq: 9, heard: 100 });
  for (let time = 0; time < 10; time++) {
    await page.clock.pass(2_000);
    page.world.socket.say({ type: "pong", seq: 10, heard: written(page).filter(([n]) => n).length });
  }
  const said = written(page).filter(([n]) => n);
  assert.equal(said.length, KEPT_MAX + 1);
  assert.deepEqual(said.at(-1), [KEPT_MAX + 1, "skip"]);
});

test("however much waits, it is said at a pace that the server allows", async () => {
  const page = await inCall();
  page.world.socket.hangUp(1006);
  for (let time = 0; time < KEPT_MAX; time++) page.say(`${time}`);
  await page.clock.pass(400);
  await page.world.welcome({ resumed: true, heard: 0 }, IN_CALL);
  const counts = [written(page).length];
  for (let second = 0; second < 4; second++) {
    await page.clock.pass(1_000);
    page.world.socket.say({ type: "pong", seq: 9, heard: 0 });
    counts.push(written(page).length - counts.reduce((sum, count) => sum + count, 0));
  }
  assert.ok(counts[0] === 60 && counts.slice(1).every((count) => count <= 20), `${counts}`);
});

test("for good: what waits is lost, and whoever said it is told", async () => {
  for (const end of /** @type {((page: Page) => void)[]} */ ([
    ({ signaling }) => signaling.stop(),
    ({ signaling }) => signaling.start(),
    ({ world }) => world.socket.hangUp(4409),
  ])) {
    const page = await inCall();
    page.say("a");
    end(page);
    await settle();
    assert.deepEqual(page.fates, [["a", "lost"]]);
  }
  const page = await inCall();
  page.signaling.stop();
  page.say("b");
  assert.deepEqual(page.fates, [["b", "lost"]]);
});
