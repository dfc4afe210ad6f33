import assert from "node:assert/strict";
import { test } from "node:test";

import { afterClose } from "../../web/static/js/closes.js";
import { Signaling } from "../../web/static/js/signaling.js";
import { settle } from "./support/clock.js";
import { FakeWorld, IDLE, WELCOME } from "./support/sockets.js";

function start() {
  const world = new FakeWorld();
  /** @type {any[]} */
  const frames = [];
  /** @type {any[]} */
  const links = [];
  /** @type {boolean[]} */
  const identified = [];
  const signaling = new Signaling({
    url: "ws://hall/ws",
    identify: async (refused) => `token ${identified.push(refused)}`,
    onFrame: (frame) => frames.push(frame),
    onLink: (link) => links.push(link),
    environment: world.environment,
  });
  signaling.start();
  return { world, signaling, frames, links, identified, clock: world.clock };
}

const IN_CALL = { state: "connected", session: "s" };

/** How long until it tries again. @param {FakeWorld} world */
async function untilNextTry({ clock, sockets }) {
  const before = clock.now();
  const tries = sockets.length;
  while (sockets.length === tries) await clock.pass(50);
  return clock.now() - before;
}

async function welcomed() {
  const it = start();
  await it.world.welcome();
  return it;
}

test("says hello first, and nothing else before the welcome", async () => {
  const { world, signaling, links } = start();
  signaling.send({ type: "search", criteria: {} });
  await settle();
  world.socket.open();
  assert.deepEqual(world.socket.sent, [{ type: "hello", version: 1, token: "token 1" }]);
  world.socket.say(WELCOME);
  world.socket.say(IDLE);
  assert.deepEqual(world.socket.types, ["hello", "search"]);
  assert.deepEqual(
    links.map((link) => link.status),
    ["connecting", "open"],
  );
});

test("resumes with the key and the last number it has seen", async () => {
  const { world, clock } = await welcomed();
  world.socket.say({ type: "state", seq: 2, state: "idle" });
  world.socket.say({ type: "signal", seq: 7, session: "s", data: 1 });
  world.socket.hangUp(1006);
  await clock.pass(400);
  world.socket.open();
  assert.deepEqual(world.socket.sent[0].resume, { key: "key", seq: 7 });
});

test("what was said while the line was down is sent after the welcome, once and in order", async () => {
  const { world, signaling, clock } = await welcomed();
  world.socket.hangUp(1006);
  signaling.send({ type: "signal", session: "s", data: "offer" });
  signaling.send({ type: "skip", session: "s" });
  await clock.pass(400);
  await world.welcome({ resumed: true }, IN_CALL);
  assert.deepEqual(world.socket.types, ["hello", "signal", "skip"]);
  world.socket.hangUp(1006);
  await clock.pass(1000);
  await world.welcome({ resumed: true }, IN_CALL);
  assert.deepEqual(world.socket.types, ["hello"]);
});

test("a frame said on a socket that is closing is kept", async () => {
  const { world, signaling, clock } = await welcomed();
  world.socket.readyState = 2;
  signaling.send({ type: "skip", session: "s" });
  assert.deepEqual(world.socket.types, ["hello"]);
  world.socket.hangUp(1006);
  await clock.pass(400);
  await world.welcome({ resumed: true }, IN_CALL);
  assert.deepEqual(world.socket.types, ["hello", "skip"]);
});

test("pings after a heartbeat of silence, and only then", async () => {
  const { world, signaling, clock } = await welcomed();
  await clock.pass(15_000);
  signaling.send({ type: "cancel" });
  await clock.pass(15_000);
  assert.deepEqual(world.socket.types, ["hello", "cancel"]);
  await clock.pass(10_000);
  assert.deepEqual(world.socket.types, ["hello", "cancel", "ping"]);
});

test("a ping that is due while the socket closes is not sent: browsers complain about it", async () => {
  const { world, clock } = await welcomed();
  world.socket.readyState = 2;
  await clock.pass(26_000);
  assert.deepEqual(world.sockets[0]?.types, ["hello"]);
  await clock.pass(7_000);
  assert.equal(world.sockets.length, 2, "and the line is given up as without a pong");
});

test("a pong is enough to stay", async () => {
  const { world, clock, links } = await welcomed();
  for (let beat = 0; beat < 20; beat++) {
    await clock.pass(5_000);
    world.socket.say({ type: "pong", seq: 2 + beat });
  }
  assert.equal(world.sockets.length, 1);
  assert.equal(links.at(-1).status, "open");
});

test("without a pong it reconnects and resumes", async () => {
  const { world, clock } = await welcomed();
  await clock.pass(25_000);
  assert.equal(world.socket.types.at(-1), "ping");
  await clock.pass(7_000);
  assert.equal(world.sockets.length, 2);
  assert.ok(world.sockets[0]?.closed);
  world.socket.open();
  assert.equal(world.socket.sent[0].resume.key, "key");
});

test("frames of an abandoned socket are not heard", async () => {
  const { world, clock, frames } = await welcomed();
  const old = world.socket;
  await clock.pass(32_000);
  const heard = frames.length;
  old.say({ type: "state", seq: 3, state: "searching" });
  assert.equal(frames.length, heard);
});

test("a handshake that gets no welcome is given up", async () => {
  const { world, clock } = start();
  await settle();
  world.socket.open();
  await clock.pass(11_000);
  assert.equal(world.sockets.length, 2);
});

test("waits longer from failure to failure, up to a limit, with jitter", async () => {
  const { world } = start();
  await settle();
  /** @type {number[]} */
  const waits = [];
  for (let failure = 0; failure < 9; failure++) {
    world.socket.hangUp(1006);
    waits.push(await untilNextTry(world));
  }
  assert.ok(waits.every((wait, index) => index === 0 || wait >= (waits[index - 1] ?? 0)));
  assert.ok((waits[0] ?? 0) <= 400 && (waits.at(-1) ?? 0) <= 15_050 && (waits.at(-1) ?? 0) >= 7_500);
});

test("a connection that held starts again from the shortest wait", async () => {
  const { world, clock } = start();
  await settle();
  for (let failure = 0; failure < 6; failure++) {
    world.socket.hangUp(1006);
    await untilNextTry(world);
  }
  await world.welcome();
  await clock.pass(6_000);
  world.socket.hangUp(1006);
  assert.ok((await untilNextTry(world)) <= 400);
});

test("a nudge tries at once, and asks an open line whether it holds", async () => {
  const { world, signaling, clock } = await welcomed();
  await clock.pass(10_000);
  signaling.nudge();
  assert.equal(world.socket.types.at(-1), "ping");
  world.socket.hangUp(1006);
  signaling.nudge();
  await settle();
  assert.equal(world.sockets.length, 2);
});

test("however often it is nudged, it tries once a second", async () => {
  const { world, signaling, clock } = await welcomed();
  await clock.pass(10_000);
  world.socket.hangUp(1006);
  for (let time = 0; time < 100; time++) {
    signaling.nudge();
    await clock.pass(100);
    if (world.socket.readyState === 0) world.socket.hangUp(1006);
  }
  assert.ok(world.sockets.length <= 12, `${world.sockets.length - 1} tries in 10 s`);
});

test("no nudge shortens a wait that the server asked for, and the person is told why and until when", async () => {
  const { world, signaling, links, clock } = await welcomed();
  world.socket.hangUp(4429);
  assert.deepEqual(links.at(-1), { status: "waiting", message: afterClose(4429).message, until: 30_000 });
  for (let time = 0; time < 19; time++) {
    signaling.nudge();
    await clock.pass(1_000);
  }
  assert.equal(world.sockets.length, 1);
});

for (const code of [1009, 4400, 4409]) {
  test(`${code}: stops, says why, and leaves nothing running`, async () => {
    const { world, signaling, links, clock } = await welcomed();
    world.socket.hangUp(code);
    assert.deepEqual(links.at(-1), { status: "stopped", code, message: afterClose(code).message });
    assert.equal(clock.running, 0);
    signaling.send({ type: "cancel" });
    signaling.nudge();
    await clock.pass(100_000);
    assert.equal(world.sockets.length, 1);
  });
}

test("4409: can be started again, as a fresh page", async () => {
  const { world, signaling } = await welcomed();
  world.socket.hangUp(4409);
  signaling.start();
  await settle();
  world.socket.open();
  assert.equal(world.socket.sent[0].resume, undefined);
});

test("4401: gets a new identity at once, and still resumes if the actor lives", async () => {
  const { world, identified, clock } = await welcomed();
  world.socket.hangUp(4401);
  await clock.pass(1);
  world.socket.open();
  assert.deepEqual(identified, [false, true]);
  assert.deepEqual(world.socket.sent[0], {
    type: "hello",
    version: 1,
    token: "token 2",
    resume: { key: "key", seq: 2 },
  });
});

test("4401 again for the new identity: says so, and makes no third", async () => {
  const { world, identified, links, clock } = await welcomed();
  world.socket.hangUp(4401);
  await clock.pass(1);
  world.socket.hangUp(4401);
  await clock.pass(600_000);
  assert.deepEqual(identified, [false, true]);
  assert.deepEqual(links.at(-1), { status: "stopped", code: 4401, message: afterClose(4401).message });
  assert.equal(world.sockets.length, 2);
  assert.equal(clock.running, 0);
});

test("4401, with a line that could not be had in between: it is still the second time", async () => {
  const { world, identified, links, clock } = await welcomed();
  world.socket.hangUp(4401);
  await clock.pass(1);
  world.socket.hangUp(1006);
  await clock.pass(1_000);
  world.socket.hangUp(4401);
  await clock.pass(1);
  assert.deepEqual(identified, [false, true, false]);
  assert.equal(links.at(-1).status, "stopped");
});

test("4401 long after a welcome is the first time again", async () => {
  const { world, clock } = await welcomed();
  for (let time = 0; time < 3; time++) {
    world.socket.hangUp(4401);
    await clock.pass(3_000);
    await world.welcome({ resumed: true });
  }
  assert.equal(world.sockets.length, 4);
});

test("whoever asks for an identity too often asks no sooner than the server says, and tells why", async () => {
  const world = new FakeWorld();
  /** @type {number[]} */
  const asked = [];
  /** @type {any[]} */
  const links = [];
  const signaling = new Signaling({
    url: "ws://hall/ws",
    identify: async () => {
      asked.push(world.clock.now());
      if (asked.length === 1) throw Object.assign(new Error("Please wait."), { wait_ms: 42_000 });
      return "token";
    },
    onFrame: () => {},
    onLink: (link) => links.push(link),
    environment: world.environment,
  });
  signaling.start();
  await settle();
  assert.deepEqual(links.at(-1), { status: "waiting", message: "Please wait.", until: 42_000 });
  for (let time = 0; time < 50; time++) {
    signaling.nudge();
    await world.clock.pass(1_000);
  }
  assert.deepEqual(asked, [0, 42_000]);
});

test("an identity that cannot be had now is asked for again later", async () => {
  const world = new FakeWorld();
  let times = 0;
  /** @type {any[]} */
  const links = [];
  const signaling = new Signaling({
    url: "ws://hall/ws",
    identify: async () => {
      times += 1;
      if (times === 1) throw new Error("offline");
      return "token";
    },
    onFrame: () => {},
    onLink: (link) => links.push(link),
    environment: world.environment,
  });
  signaling.start();
  await settle();
  assert.equal(links.at(-1).status, "waiting");
  await world.clock.pass(400);
  await world.welcome();
  assert.equal(links.at(-1).status, "open");
});

for (const [code, least, most] of /** @type {const} */ ([
  [1006, 0, 400],
  [1011, 0, 400],
  [4408, 0, 400],
  [4429, 20_000, 40_000],
  [4503, 1_000, 3_000],
])) {
  test(`${code}: comes back within ${least} to ${most} ms and resumes`, async () => {
    const { world, links } = await welcomed();
    world.socket.hangUp(code);
    assert.equal(links.at(-1).status, "waiting");
    const wait_ms = await untilNextTry(world);
    assert.ok(least <= wait_ms && wait_ms <= most, `${wait_ms} ms`);
    world.socket.open();
    assert.equal(world.socket.sent[0].resume.key, "key");
  });
}

test("4503: chance scatters those who come back", async () => {
  const waits = [];
  for (const chance of [0.3, 0.6, 0.9]) {
    const { world } = await welcomed();
    world.chance = chance;
    world.socket.hangUp(4503);
    waits.push(await untilNextTry(world));
  }
  assert.deepEqual(waits, [900, 1800, 2700]);
});

test("what is no frame changes nothing", async () => {
  const { world, frames } = await welcomed();
  for (const data of ["", "[", "null", "7", '{"seq":3}', new ArrayBuffer(0)]) {
    world.socket.onmessage({ data });
  }
  assert.deepEqual(
    frames.map((frame) => frame.type),
    ["welcome", "state"],
  );
});

test("stop leaves nothing running", async () => {
  const { world, signaling, clock } = await welcomed();
  signaling.stop();
  assert.equal(clock.running, 0);
  assert.ok(world.socket.closed);
  await clock.pass(100_000);
  assert.equal(world.sockets.length, 1);
});
