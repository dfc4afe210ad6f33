/**
 * Decides when media flows, that is, when this side sends `connected` to the server. The decision is pure; a `FlowWatch`
 * owns one timer.
 */

/** Which media a side sends: is its microphone on, is its camera on. @typedef {{ audio: boolean, video: boolean }} Sending */

/**
 * @typedef {object} Evidence
 * @property {number} up_ms how long the peer connection has been up
 * @property {Sending | null} partner what the partner has announced; null: nothing yet
 * @property {Sending} received of which kinds a packet has arrived
 */

/**
 * How long to wait for every announced kind. After that, a connected peer counts as flowing, even without any packet (a
 * camera behind a closed shutter sends nothing).
 */
export const PATIENCE_MS = 2_000;

/** The interval of the checks. */
const LOOK_MS = 150;

/**
 * @param {Evidence} evidence
 * @returns {boolean} whether this side may send `connected`
 */
export function flows({ up_ms, partner, received }) {
  if (up_ms >= PATIENCE_MS) return true;
  if (!partner) return false;
  return (!partner.audio || received.audio) && (!partner.video || received.video);
}

/**
 * The kinds of which a packet has arrived.
 * @param {Iterable<any>} reports of `RTCPeerConnection.getStats()`
 * @returns {Sending}
 */
export function arrived(reports) {
  const received = { audio: false, video: false };
  for (const report of reports) {
    if (report.type !== "inbound-rtp" || !(report.packetsReceived > 0)) continue;
    if (report.kind === "audio") received.audio = true;
    if (report.kind === "video") received.video = true;
  }
  return received;
}

/** Checks every `LOOK_MS` whether media flows, and calls `onFlow` once it does. */
export class FlowWatch {
  /** @type {Sending | null} what the partner has announced */
  partner = null;
  #pc;
  #environment;
  #onFlow;
  #up_at = 0;
  #stopped = false;
  /** @type {any} */
  #timer = null;

  /**
   * @param {RTCPeerConnection} pc
   * @param {import("./peer.js").PeerEnvironment} environment
   * @param {() => void} onFlow
   */
  constructor(pc, environment, onFlow) {
    this.#pc = pc;
    this.#environment = environment;
    this.#onFlow = onFlow;
    this.#wait();
  }

  /** The connection is up, for the first time or again. */
  up() {
    this.#up_at = this.#environment.now();
  }

  stop() {
    this.#stopped = true;
    this.#environment.clearTimeout(this.#timer);
  }

  #wait() {
    this.#timer = this.#environment.setTimeout(async () => {
      const flowing = this.#pc.connectionState === "connected" && (await this.#mediaFlows());
      if (this.#stopped) return;
      if (flowing) this.#onFlow();
      else this.#wait();
    }, LOOK_MS);
  }

  async #mediaFlows() {
    try {
      const received = arrived((await this.#pc.getStats()).values());
      return flows({ up_ms: this.#environment.now() - this.#up_at, partner: this.partner, received });
    } catch {
      return false; // closed in the meantime
    }
  }
}
