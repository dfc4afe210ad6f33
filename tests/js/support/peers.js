import assert from "node:assert/strict";

import { Peer } from "../../../web/static/js/peer.js";
import { FakeRtc, settle } from "./rtc.js";

export const CAMERA = /** @type {any} */ ({ kind: "video" });
export const MICROPHONE = /** @type {any} */ ({ kind: "audio" });
export const BOTH = { audio: MICROPHONE, video: CAMERA };
export const ON = { audio: true, video: true };
export const NOTHING = { audio: null, video: null };
export const OFF = { audio: false, video: false };

/** One peer, with everything it said and reported. @param {boolean} initiator */
export function meet(initiator, tracks = BOTH, sending = ON) {
  const rtc = new FakeRtc();
  /** @type {any[]} */
  const said = [];
  /** @type {any[]} */
  const news = [];
  const peer = new Peer(
    {
      initiator,
      iceServers: [{ urls: "stun:hall" }],
      send: (signal) => said.push(signal),
      onStream: (stream) => news.push(["stream", stream]),
      onFlow: () => news.push(["flow"]),
      onFailed: (code) => news.push(["failed", code]),
      onPartnerMedia: (media) => news.push(["media", media]),
      onInterrupted: (interrupted) => news.push(["interrupted", interrupted]),
      environment: rtc.environment,
    },
    tracks,
    sending,
  );
  const pc = rtc.connections[0];
  if (!pc) throw new Error("expected a connection; none was made");
  return { peer, said, news, pc, clock: rtc.clock };
}

/** @typedef {ReturnType<typeof meet>} Side */

/** Carry what both have said to the other, until neither has anything more to say. @param {Side} a @param {Side} b */
export async function carry(a, b) {
  for (await settle(); a.said.length + b.said.length > 0; await settle()) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ]) {
      for (const signal of from?.said.splice(0) ?? []) to?.peer.receive(structuredClone(signal));
    }
  }
}

/** Both have agreed: the one's answer is to the other's offer. @param {Side} offerer @param {Side} answerer */
export function agreed(offerer, answerer) {
  assert.equal(offerer.pc.signalingState, "stable");
  assert.equal(answerer.pc.signalingState, "stable");
  assert.equal(offerer.pc.localDescription.sdp, answerer.pc.remoteDescription.sdp);
  assert.equal(answerer.pc.localDescription.sdp, offerer.pc.remoteDescription.sdp);
}

/** @param {Side} side */
export const descriptions = ({ said }) => said.filter(({ kind }) => kind === "description");

export async function call() {
  const impolite = meet(true);
  const polite = meet(false);
  await carry(impolite, polite);
  return { impolite, polite };
}

/** @param {string[]} texts */
export const candidates = (...texts) => texts.map((candidate) => ({ candidate, sdpMid: "0" }));

/** @param {any} pc @returns {string[]} */
export const addresses = (pc) => pc.candidates.map((/** @type {any} */ { candidate }) => candidate);

/** @param {Side} side */
export async function upAndFlowing({ peer, pc, clock }) {
  peer.receive({ kind: "media", ...OFF });
  pc.become("connected");
  await clock.pass(200);
  assert.ok(peer.flowed);
}

/** @param {string} sdp */
export const offer = (sdp) => ({ kind: "description", description: { type: "offer", sdp } });
