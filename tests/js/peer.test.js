import assert from "node:assert/strict";
import { test } from "node:test";

import {
  addresses,
  agreed,
  call,
  CAMERA,
  candidates,
  carry,
  descriptions,
  meet,
  MICROPHONE,
  NOTHING,
  OFF,
  ON,
} from "./support/peers.js";
import { settle } from "./support/rtc.js";

test("the initiator makes the first offer, the other waits for it", async () => {
  const polite = meet(false);
  const impolite = meet(true);
  await settle();
  assert.equal(descriptions(polite).length, 0);
  assert.equal(descriptions(impolite)[0].description.type, "offer");
  await carry(impolite, polite);
  agreed(impolite, polite);
});

test("uses the ICE servers that the server named", () => {
  assert.deepEqual(meet(true).pc.configuration, { iceServers: [{ urls: "stun:hall" }] });
});

test("both lines go both ways, and carry what there is", async () => {
  const { impolite, polite } = await call();
  for (const { pc } of [impolite, polite]) {
    assert.deepEqual(
      pc.getTransceivers().map(({ direction, sender }) => [direction, sender.track]),
      [
        ["sendrecv", MICROPHONE],
        ["sendrecv", CAMERA],
      ],
    );
  }
});

test("a camera that comes later needs no new offer", async () => {
  const impolite = meet(true, NOTHING, OFF);
  const polite = meet(false, NOTHING, OFF);
  await carry(impolite, polite);
  await polite.peer.replace("video", CAMERA);
  await impolite.peer.replace("video", CAMERA);
  await settle();
  assert.equal(descriptions(impolite).length + descriptions(polite).length, 0);
  assert.equal(polite.pc.getTransceivers()[1].sender.track, CAMERA);
  assert.equal(impolite.pc.getTransceivers()[1].sender.track, CAMERA);
});

test("a camera that comes before the first offer is there when it does", async () => {
  const polite = meet(false, NOTHING, OFF);
  await polite.peer.replace("video", CAMERA);
  const impolite = meet(true);
  await carry(impolite, polite);
  assert.equal(polite.pc.getTransceivers()[1].sender.track, CAMERA);
});

test("glare: when two offers cross, the initiator's stands", async () => {
  const { impolite, polite } = await call();
  impolite.pc.restartIce();
  polite.pc.restartIce();
  await settle();
  const [offer] = descriptions(impolite);
  assert.equal(offer.description.type, "offer");
  assert.equal(descriptions(polite)[0].description.type, "offer");
  // The polite side hears first: it takes its own offer back and answers.
  polite.peer.receive(impolite.said.shift());
  await settle();
  assert.equal(polite.pc.remoteDescription.sdp, offer.description.sdp);
  await carry(impolite, polite);
  assert.equal(impolite.pc.signalingState, "stable");
  assert.equal(polite.pc.signalingState, "stable");
  assert.equal(impolite.news.concat(polite.news).filter(([what]) => what === "failed").length, 0);
});

test("glare: the initiator does not take its offer back", async () => {
  const { impolite } = await call();
  impolite.pc.restartIce();
  await settle();
  const own = impolite.pc.localDescription.sdp;
  impolite.peer.receive({ kind: "description", description: { type: "offer", sdp: "crossing" } });
  await settle();
  assert.equal(impolite.pc.localDescription.sdp, own);
  assert.equal(impolite.pc.signalingState, "have-local-offer");
});

test("candidates travel in batches, after the description", async () => {
  const { said, pc, clock } = meet(true);
  await settle();
  for (const port of [1, 2, 3]) pc.onicecandidate({ candidate: { toJSON: () => ({ port }) } });
  pc.onicecandidate({ candidate: null });
  await clock.pass(100);
  assert.deepEqual(
    said.map(({ kind }) => kind),
    ["media", "description", "candidates"],
  );
  assert.deepEqual(said[2].candidates, [{ port: 1 }, { port: 2 }, { port: 3 }]);
});

test("candidates wait for the description before them, and a bad one does no harm", async () => {
  const { peer, pc, news } = meet(false);
  peer.receive({ kind: "description", description: { type: "offer", sdp: "offer" } });
  peer.receive({ kind: "candidates", candidates: candidates("1", "bad", "2") });
  await settle();
  assert.deepEqual(addresses(pc), ["1", "2"]);
  assert.deepEqual(
    news.map(([what]) => what),
    ["stream"],
  );
});

test("what cannot be negotiated is reported as failed, once", async () => {
  const { peer, news, pc } = meet(false);
  peer.receive({ kind: "description", description: { type: "offer", sdp: "garbage" } });
  await settle();
  peer.receive({ kind: "description", description: { type: "offer", sdp: "garbage again" } });
  await settle();
  assert.deepEqual(news, [["failed", "negotiation_failed"]]);
  assert.ok(pc.closed);
});

test("signals that nobody knows change nothing", async () => {
  const { peer, news, said } = meet(false);
  said.length = 0;
  for (const signal of [null, 7, "x", [], {}, { kind: "dance" }]) peer.receive(signal);
  await settle();
  assert.deepEqual([news, said], [[], []]);
});

const AUDIO = { type: "inbound-rtp", kind: "audio", packetsReceived: 3 };
const VIDEO = { type: "inbound-rtp", kind: "video", packetsReceived: 5 };

test("connected means that everything the partner sends has arrived", async () => {
  const { peer, pc, news, clock } = meet(true);
  peer.receive({ kind: "media", audio: true, video: true });
  await clock.pass(1_000);
  pc.become("connected");
  pc.stats = [AUDIO, { ...VIDEO, packetsReceived: 0 }];
  await clock.pass(1_000);
  assert.ok(!peer.flowed);
  pc.stats = [AUDIO, VIDEO];
  await clock.pass(200);
  assert.ok(peer.flowed);
  await clock.pass(10_000);
  assert.equal(news.filter(([what]) => what === "flow").length, 1);
  assert.equal(clock.running, 0);
});

test("a partner with neither camera nor microphone: the connection itself counts", async () => {
  const { peer, pc, clock } = meet(true);
  peer.receive({ kind: "media", audio: false, video: false });
  await clock.pass(1_000);
  assert.ok(!peer.flowed);
  pc.become("connected");
  await clock.pass(200);
  assert.ok(peer.flowed);
});

test("media without a connection is no call", async () => {
  const { peer, pc, clock } = meet(true);
  peer.receive({ kind: "media", audio: true, video: true });
  pc.stats = [AUDIO, VIDEO];
  await clock.pass(30_000);
  assert.ok(!peer.flowed);
});

test("a failed connection is tried once more, then given up", async () => {
  const { news, pc } = meet(true);
  pc.become("failed");
  assert.equal(pc.restarts, 1);
  pc.become("failed");
  assert.deepEqual(news.at(-1), ["failed", "ice_failed"]);
  assert.ok(pc.closed);
});

test("a call that flows is never reported as failed, but mended", async () => {
  const { peer, pc, news, clock } = meet(true);
  peer.receive({ kind: "media", audio: false, video: false });
  pc.become("connected");
  await clock.pass(200);
  for (let time = 0; time < 5; time++) pc.become("failed");
  assert.equal(pc.restarts, 5);
  assert.deepEqual(news.at(-1), ["interrupted", true]);
  pc.become("connected");
  assert.deepEqual(news.at(-1), ["interrupted", false]);
});

test("a disconnection that does not mend itself is helped along", async () => {
  const { pc, clock } = meet(true);
  pc.become("connected");
  pc.become("disconnected");
  await clock.pass(1_000);
  pc.become("connected");
  await clock.pass(10_000);
  assert.equal(pc.restarts, 0);
  pc.become("disconnected");
  await clock.pass(3_000);
  assert.equal(pc.restarts, 1);
});

test("an offer that was lost is said again after a resume", async () => {
  const impolite = meet(true);
  const polite = meet(false);
  await settle();
  impolite.said.length = 0; // lost with the socket
  impolite.peer.resync();
  await carry(impolite, polite);
  agreed(impolite, polite);
});

test("an answer that was lost is made again after the resume of the one who lost it", async () => {
  const impolite = meet(true);
  const polite = meet(false);
  await settle();
  for (const signal of impolite.said.splice(0)) polite.peer.receive(signal);
  await settle();
  polite.said.length = 0; // lost with the socket
  polite.peer.resync();
  await carry(impolite, polite);
  agreed(impolite, polite);
});

test("an offer said twice is answered twice, and the second answer does no harm", async () => {
  const impolite = meet(true);
  const polite = meet(false);
  await settle();
  impolite.peer.resync();
  await carry(impolite, polite);
  assert.equal(impolite.pc.signalingState, "stable");
  assert.equal(polite.pc.signalingState, "stable");
  assert.equal(impolite.news.concat(polite.news).filter(([what]) => what === "failed").length, 0);
});

test("a resume of a call that is up disturbs nothing", async () => {
  const { impolite, polite } = await call();
  impolite.pc.become("connected");
  polite.pc.become("connected");
  polite.peer.resync();
  await carry(impolite, polite);
  assert.equal(impolite.pc.restarts + polite.pc.restarts, 0);
  assert.deepEqual(impolite.news.at(-1), ["media", ON]);
});

test("the partner learns what is sent, and each change of it", async () => {
  const { peer, said } = meet(true, NOTHING, OFF);
  peer.tell({ audio: false, video: true });
  assert.deepEqual(
    said.filter(({ kind }) => kind === "media"),
    [
      { kind: "media", ...OFF },
      { kind: "media", audio: false, video: true },
    ],
  );
});

test("a closed peer leaves nothing running, says nothing and hears nothing", async () => {
  const { peer, pc, said, news, clock } = meet(true);
  await settle();
  pc.onicecandidate({ candidate: { toJSON: () => ({}) } });
  peer.receive({ kind: "media", audio: true, video: true });
  peer.close();
  const before = [said.length, news.length];
  peer.receive({ kind: "description", description: { type: "answer", sdp: "late" } });
  peer.resync();
  peer.tell(ON);
  await peer.replace("video", null);
  await clock.pass(60_000);
  assert.ok(pc.closed);
  assert.equal(clock.running, 0);
  assert.deepEqual([said.length, news.length], before);
});

test("closing in the middle of an answer says nothing more", async () => {
  const { peer, said, news } = meet(false);
  said.length = 0;
  peer.receive({ kind: "description", description: { type: "offer", sdp: "offer" } });
  await Promise.resolve();
  peer.close();
  await settle();
  assert.deepEqual([said, news], [[], []]);
});
