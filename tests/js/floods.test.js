/** What a partner may send without this page saying much, growing, or breaking: anything, as fast as it likes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { addresses, call, candidates, descriptions, meet, offer, upAndFlowing } from "./support/peers.js";
import { settle } from "./support/rtc.js";

test("a resync is answered once a second, and the last one when the second is over", async () => {
  const { polite } = await call();
  await polite.clock.pass(1_000);
  polite.peer.receive({ kind: "resync" });
  await settle();
  assert.equal(polite.said.length, 1);
  for (let time = 0; time < 30; time++) {
    for (let more = 0; more < 100; more++) polite.peer.receive({ kind: "resync" });
    await polite.clock.pass(33);
  }
  assert.equal(polite.said.length, 1);
  await polite.clock.pass(10);
  assert.equal(polite.said.length, 2, "the last one is answered, too");
  await polite.clock.pass(10_000);
  assert.equal(polite.said.length, 2, "and then there is silence");
});

test("a flood of resyncs while the call is set up: few offers and few restarts", async () => {
  const { peer, said, pc, clock } = meet(true);
  await settle();
  said.length = 0;
  for (let time = 0; time < 300; time++) {
    peer.receive({ kind: "resync" });
    await clock.pass(33);
  }
  assert.ok(said.length <= 22, `${said.length} frames in 10 s`);
  assert.ok(pc.restarts <= 11);
});

for (const [what, signal] of /** @type {const} */ ([
  ["the same offer", () => offer("offer the same")],
  ["new offers", (/** @type {number} */ time) => offer(`offer ${time}`)],
  [
    "answers",
    (/** @type {number} */ time) => ({
      kind: "description",
      description: { type: "answer", sdp: `answer ${time}` },
    }),
  ],
  ["candidates", (/** @type {number} */ time) => ({ kind: "candidates", candidates: candidates(`${time}`) })],
  ["media", (/** @type {number} */ time) => ({ kind: "media", audio: time % 2 === 0, video: true })],
  ["nonsense", () => ({ kind: "dance", description: "x".repeat(48_000) })],
])) {
  for (const initiator of [true, false]) {
    test(`a flood of ${what} makes the ${initiator ? "initiator" : "other"} say little, and ends no call`, async () => {
      const { impolite, polite } = await call();
      const side = initiator ? impolite : polite;
      await upAndFlowing(side);
      side.said.length = 0;
      for (let time = 0; time < 300; time++) {
        side.peer.receive(signal(time));
        await side.clock.pass(33);
      }
      await side.clock.pass(5_000);
      assert.ok(side.said.length <= 20, `${side.said.length} frames in 10 s`);
      assert.equal(side.news.filter(([news]) => news === "failed").length, 0);
      assert.equal(side.pc.signalingState, "stable");
      assert.ok(side.pc.candidates.length <= 100, `${side.pc.candidates.length} candidates`);
      side.said.length = 0;
      side.peer.receive(offer("offer at last"));
      await side.clock.pass(1_000);
      assert.equal(side.pc.remoteDescription.sdp, "offer at last");
      assert.deepEqual(
        side.said.map(({ kind }) => kind),
        ["description"],
        "and it goes on as ever",
      );
    });
  }
}

test("thousands of signals in one go: the last of each kind is dealt with", async () => {
  const { peer, said, news, pc, clock } = meet(false);
  said.length = 0;
  for (let time = 0; time < 5_000; time++) {
    peer.receive(offer(`offer ${time}`));
    peer.receive({ kind: "candidates", candidates: candidates(`${time}`) });
    peer.receive({ kind: "media", audio: time % 2 === 1, video: true });
    peer.receive({ kind: "resync" });
  }
  await clock.pass(100);
  assert.equal(pc.remoteDescription.sdp, "offer 4999");
  assert.equal(pc.candidates.length, 100);
  assert.deepEqual(
    news.filter(([what]) => what === "media"),
    [["media", { audio: true, video: true }]],
  );
  assert.deepEqual(said.map(({ kind }) => kind).sort(), ["description", "media"]);
});

test("an answer is not lost behind the offers that follow it", async () => {
  const { peer, pc } = meet(true);
  await settle();
  peer.receive({ kind: "description", description: { type: "answer", sdp: "answer" } });
  for (let time = 0; time < 3; time++) peer.receive(offer(`offer ${time}`));
  await settle();
  assert.equal(pc.remoteDescription.sdp, "offer 2");
  assert.equal(pc.signalingState, "stable");
});

test("candidates are kept for their description while it waits, whatever it is replaced by", async () => {
  const { peer, pc, clock } = meet(false);
  for (let time = 0; time < 5; time++) {
    peer.receive(offer(`offer ${time}`));
    await settle();
  }
  peer.receive(offer("offer last"));
  peer.receive({ kind: "candidates", candidates: candidates("1") });
  peer.receive(offer("offer last"));
  peer.receive({ kind: "candidates", candidates: candidates("2") });
  await settle();
  assert.deepEqual([pc.remoteDescription.sdp, pc.candidates], ["offer 4", []]);
  await clock.pass(1_000);
  assert.deepEqual([pc.remoteDescription.sdp, addresses(pc)], ["offer last", ["1", "2"]]);
});

const LONG = "x".repeat(48_000);

for (const malformed of [
  { kind: "description" },
  { kind: "description", description: null },
  { kind: "description", description: 7 },
  { kind: "description", description: [] },
  { kind: "description", description: { type: "offer" } },
  { kind: "description", description: { type: "offer", sdp: "" } },
  { kind: "description", description: { type: "offer", sdp: LONG } },
  { kind: "description", description: { type: "offer", sdp: { length: 3 } } },
  { kind: "description", description: { type: "offer", sdp: "v=0" + "\nm=audio 9".repeat(9) } },
  { kind: "description", description: { type: "offer", sdp: "v=0" + "\na=candidate:1 1 udp".repeat(101) } },
  { kind: "description", description: { type: "rollback", sdp: "x" } },
  { kind: "description", description: { type: "pranswer", sdp: "x" } },
  { kind: "description", description: { type: LONG, sdp: "x" } },
  { kind: "candidates" },
  { kind: "candidates", candidates: null },
  { kind: "candidates", candidates: 7 },
  { kind: "candidates", candidates: LONG },
  { kind: "candidates", candidates: { length: 1e9 } },
  { kind: "candidates", candidates: [null, 7, "x", [], {}, { candidate: null }] },
  { kind: "candidates", candidates: [{ candidate: LONG }] },
  { kind: "candidates", candidates: [{ candidate: "x", sdpMid: LONG }] },
  { kind: "candidates", candidates: [{ candidate: "x", sdpMid: {} }] },
  { kind: "candidates", candidates: [{ candidate: "x", sdpMLineIndex: "0" }] },
  { kind: "candidates", candidates: [{ candidate: "x", usernameFragment: LONG }] },
  { kind: LONG },
  { kind: { kind: "resync" } },
  { kind: "__proto__" },
  LONG,
]) {
  const short = JSON.stringify(malformed).slice(0, 90);
  test(`malformed, and so it changes nothing: ${short}`, async () => {
    for (const initiator of [true, false]) {
      const { peer, said, news, pc } = meet(initiator);
      await settle();
      said.length = 0;
      peer.receive(malformed);
      await settle();
      assert.deepEqual([said, news, pc.candidates, pc.remoteDescription], [[], [], [], null]);
    }
  });
}

test("a description that the browser refuses does not end a call that flows", async () => {
  const { impolite, polite } = await call();
  for (const side of [impolite, polite]) {
    await upAndFlowing(side);
    side.peer.receive(offer("garbage"));
    side.peer.receive({ kind: "resync" });
    await side.clock.pass(2_000);
    assert.ok(!side.pc.closed);
    side.said.length = 0;
    side.peer.receive(offer("offer that is good"));
    await side.clock.pass(2_000);
    assert.equal(descriptions(side).length, 1);
  }
});

test("however many candidates this browser finds, few frames and few candidates go to the partner", async () => {
  const { said, pc, clock } = meet(true);
  await settle();
  said.length = 0;
  for (let time = 0; time < 500; time++) {
    pc.onicecandidate({ candidate: { toJSON: () => ({ candidate: `${time}` }) } });
    await clock.pass(40);
  }
  assert.ok(said.length <= 25, `${said.length} frames`);
  assert.equal(said.flatMap((signal) => signal.candidates).length, 100);
  assert.ok(JSON.stringify(said).length < 48 * 1024);
});

test("a stuck key on Mute: the partner is told now and then, and last how it is", async () => {
  const { peer, said, clock } = meet(true);
  await settle();
  said.length = 0;
  for (let time = 0; time < 300; time++) {
    peer.tell({ audio: time % 2 === 1, video: true });
    await clock.pass(33);
  }
  await clock.pass(1_000);
  assert.ok(said.length <= 36, `${said.length} frames in 10 s`);
  assert.deepEqual(said.at(-1), { kind: "media", audio: true, video: true });
});

test("a line that comes and goes: what matters is said again once a second", async () => {
  const { polite } = await call();
  for (let time = 0; time < 10; time++) polite.peer.resync();
  assert.equal(polite.said.length, 2);
  await polite.clock.pass(10_000);
  assert.equal(polite.said.length, 4);
});
