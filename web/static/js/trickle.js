/**
 * Sends this side's ICE candidates to the partner in batches: a few frames for each description, however many there are.
 * It owns one timer and the waiting candidates.
 */

import { CANDIDATES_MAX } from "./inbox.js";

/** Candidates come in bursts of a few per network interface: send one frame for a burst. */
const BATCH_MS = 40;
/** The number of batches of a description that are sent soon; later ones take longer. A call needs two or three. */
const SOON_MAX = 5;
const LATER_BATCH_MS = 1_000;

export class Trickle {
  #send;
  #environment;
  /** @type {RTCIceCandidateInit[]} */
  #waiting = [];
  /** The number of candidates and batches of the current description. */
  #gathered = 0;
  #batches = 0;
  /** @type {any} */
  #timer = null;

  /**
   * @param {(signal: import("./peer.js").Signal) => void} send
   * @param {import("./peer.js").PeerEnvironment} environment
   */
  constructor(send, environment) {
    this.#send = send;
    this.#environment = environment;
  }

  /** A new description begins, with candidates of its own. */
  again() {
    this.#gathered = this.#batches = 0;
  }

  /** @param {RTCIceCandidateInit} candidate */
  add(candidate) {
    if (this.#gathered >= CANDIDATES_MAX) return;
    this.#gathered += 1;
    this.#waiting.push(candidate);
    this.#timer ??= this.#environment.setTimeout(
      () => this.#flush(),
      this.#batches < SOON_MAX ? BATCH_MS : LATER_BATCH_MS,
    );
  }

  stop() {
    this.#environment.clearTimeout(this.#timer);
  }

  #flush() {
    this.#timer = null;
    this.#batches += 1;
    // Some may belong to the previous description; the partner accepts no more than this in one signal.
    this.#send({ kind: "candidates", candidates: this.#waiting.splice(0).slice(-CANDIDATES_MAX) });
  }
}
