/**
 * Runs the call of the current snapshot, and sends its signals, `connected` and `failed` to the server.
 * It owns the `Call` and the wait for an interrupted one. It passes what the person sees to `onChange`.
 */

import { Call, cannotCall } from "./call.js";

/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./flow.js").Sending} Sending */

/** The partner's stream and devices; null: not known yet. @typedef {{ partner: MediaStream | null, partnerSending: Sending | null }} Seen */

/**
 * @typedef {object} EncounterOptions
 * @property {import("./signaling.js").Signaling} signaling
 * @property {import("./waits.js").Waits} waits
 * @property {import("./media.js").Devices} devices
 * @property {(seen: Partial<Seen>) => void} onChange
 * @property {(problem: import("./media.js").Problem) => void} onProblem this browser can have no call
 */

/** @type {Seen} */
const NOBODY = { partner: null, partnerSending: null };

export class Encounter {
  #options;
  #call;
  #connected = false;
  /** From the last `welcome`. @type {RTCIceServer[]} */
  iceServers = [];
  /** Was this page in a call before it was reloaded, and has the call not begun again yet? */
  returns = false;

  /** @param {EncounterOptions} options */
  constructor(options) {
    this.#options = options;
    const { devices, waits, onChange } = options;
    this.#call = new Call({
      send: (session, data) => this.#signal(session, data),
      onStream: (partner) => onChange({ partner }),
      onPartnerMedia: (partnerSending) => onChange({ partnerSending }),
      onRenewed: () => onChange(NOBODY),
      onInterrupted: (interrupted) => (interrupted ? waits.begin("mend") : waits.end("mend")),
      onFlow: (session) => this.#flows(session),
      onFailed: (session, code) => this.#failed(session, code),
      devices: () => ({ tracks: devices.tracks, sending: devices.told }),
    });
  }

  /** The session whose call this is; null: there is none. */
  get session() {
    return this.#call.session;
  }

  /** The problem that prevents calls in this browser; null: none. */
  get problem() {
    return cannotCall(this.iceServers);
  }

  /** Run the call of this snapshot, and no other. @param {Snapshot} snapshot */
  follow({ state, session, initiator = false }) {
    const together = state === "connecting" || state === "connected";
    this.#connected = state === "connected";
    if (!together || session === null) {
      this.returns = false; // there is nothing to come back to
      return this.#leave();
    }
    if (session !== this.#call.session) return this.#begin(session, initiator);
    // `connected` was sent, but the connection has dropped since, so it may be lost.
    if (state === "connecting" && this.#call.flowed) this.#flows(session);
  }

  /** The partner said this, through the server. @param {import("./protocol.js").SignalFrom} frame */
  hear({ session, data }) {
    if (session === this.#call.session) this.#call.receive(data);
  }

  /** The connection to the server was down, and is back. */
  resync() {
    this.#call.resync();
  }

  /** This side's devices have changed. */
  devicesChanged() {
    this.#call.devicesChanged();
  }

  /** @param {string} session @param {boolean} initiator */
  #begin(session, initiator) {
    this.#leave();
    const again = this.returns;
    this.returns = false;
    this.#call.begin({ session, initiator, iceServers: this.iceServers }, again);
  }

  #leave() {
    if (this.#call.session === null) return;
    this.#call.close();
    this.#options.onChange(NOBODY); // before the wait ends: the call did not come back
    this.#options.waits.end("mend");
  }

  /** @param {string} session */
  #flows(session) {
    // The call of a page that was reloaded is connected already.
    if (!this.#connected) this.#options.signaling.send({ type: "connected", session });
  }

  /** @param {string} session @param {string} code */
  #failed(session, code) {
    if (this.#connected) return this.#options.waits.begin("mend");
    this.#options.signaling.send({ type: "failed", session, code });
    const { problem } = this;
    if (problem) this.#options.onProblem(problem);
  }

  /** @param {string} session @param {unknown} data */
  #signal(session, data) {
    this.#options.signaling.send({ type: "signal", session, data }, (fate) => {
      const failed = fate === "lost" || fate === "refused";
      if (failed && session === this.#call.session) this.#call.resync();
    });
  }
}
