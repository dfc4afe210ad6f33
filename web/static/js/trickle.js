/**
 * This side's candidates on their way to the partner: a few frames for each description, however many there are.
 * It owns one timer and what waits for it.
 */

import { CANDIDATES_MAX } from "./inbox.js";

/** Candidates come in bursts of a few per interface; one frame for a burst instead of a frame each. */
const BATCH_MS = 40;
/** So many bursts of a description go soon, and the later ones together: a call needs two or three. */
const SOON_MAX = 5;
const LATER_BATCH_MS = 1_000;

export class Trickle {
  #send;
  #world;
  /** @type {RTCIceCandidateInit[]} */
  #waiting = [];
  /** How many candidates, and bursts of them, this description has had. */
  #gathered = 0;
  #batches = 0;
  /** @type {any} */
  #timer = null;

  /**
   * @param {(signal: import("./peer.js").Signal) => void} send
   * @param {import("./peer.js").PeerSurroundings} world
   */
  constructor(send, world) {
    this.#send = send;
    this.#world = world;
  }

  /** A new description, which has candidates of its own. */
  again() {
    this.#gathered = this.#batches = 0;
  }

  /** @param {RTCIceCandidateInit} candidate */
  add(candidate) {
    if (this.#gathered >= CANDIDATES_MAX) return;
    this.#gathered += 1;
    this.#waiting.push(candidate);
    this.#timer ??= this.#world.setTimeout(
      () => this.#flush(),
      this.#batches < SOON_MAX ? BATCH_MS : LATER_BATCH_MS,
    );
  }

  stop() {
    this.#world.clearTimeout(this.#timer);
  }

  #flush() {
    this.#timer = null;
    this.#batches += 1;
    // Some may be of the description before; the partner takes no more than this in one go.
    this.#send({ kind: "candidates", candidates: this.#waiting.splice(0).slice(-CANDIDATES_MAX) });
  }
}
