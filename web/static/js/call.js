/**
 * The call of the present session, through one `Peer` after another.
 *
 * A reloaded page cannot continue its RTCPeerConnection. So it begins a new call in the same session, with a new id, and
 * sends the signal `renew` to the partner; both then close their old peers. Each signal of a renewed call has the id in
 * `call`, so late signals of the old call are ignored. If both pages are reloaded before media flows, the call with the
 * larger id wins.
 *
 * It owns the peer and the id of the call. It depends on neither the server nor the page.
 */

import { Budget } from "./budget.js";
import { Peer } from "./peer.js";

/** @typedef {import("./peer.js").PeerOptions} PeerOptions */
/** @typedef {import("./peer.js").Tracks} Tracks */
/** @typedef {import("./flow.js").Sending} Sending */

/**
 * The callbacks are those of a `Peer`, with the session in addition.
 * @typedef {object} CallOptions
 * @property {(session: string, data: unknown) => void} send
 * @property {(stream: MediaStream) => void} onStream
 * @property {(session: string) => void} onFlow
 * @property {(session: string, code: string) => void} onFailed
 * @property {(sending: Sending) => void} onPartnerMedia
 * @property {(interrupted: boolean) => void} onInterrupted
 * @property {() => void} onRenewed the partner came back, and the call begins again
 * @property {() => { tracks: Tracks, sending: Sending }} devices what this side sends at the moment
 * @property {() => number} [now]
 * @property {() => string} [newId]
 * @property {new (options: PeerOptions, tracks: Tracks, sending: Sending) => Peer} [Peer]
 */

/** @typedef {import("./media.js").Problem} Problem */

/** @typedef {{ session: string, initiator: boolean, iceServers: RTCIceServer[] }} Session */

/** How often a partner may begin a call again: more often than people reload, and too seldom to overload a page. */
const RENEWALS = { per_s: 0.1, burst: 3 };
const ID_MAX = 64;

export class Call {
  #options;
  #Peer;
  #now;
  /** @type {Peer | null} */
  #peer = null;
  /** @type {Session | null} */
  #session = null;
  /** @type {string | null} null: the first call of the session */
  #id = null;
  /** Did this side begin the call with this id? */
  #mine = false;
  #renewals;

  /** @param {CallOptions} options */
  constructor(options) {
    this.#options = options;
    this.#Peer = options.Peer ?? Peer;
    this.#now = options.now ?? (() => performance.now());
    this.#renewals = new Budget(RENEWALS, this.#now());
  }

  /** The session whose call this is; null: there is none. */
  get session() {
    return this.#session?.session ?? null;
  }

  /** Has this side's media flowed? */
  get flowed() {
    return this.#peer?.flowed ?? false;
  }

  /**
   * Begin the call of this session, and close any other.
   * @param {Session} session
   * @param {boolean} again this page was in it before it was reloaded
   */
  begin(session, again) {
    this.close();
    this.#session = session;
    this.#renewals = new Budget(RENEWALS, this.#now());
    if (again) this.#beginAgain((this.#options.newId ?? randomId)());
    else this.#meet();
  }

  /** A signal of the partner for this session. @param {any} data not checked by the server, so it may be anything */
  receive(data) {
    const id = idOf(data);
    if (data?.kind === "renew") this.#renew(id);
    else if (id === this.#id) this.#peer?.receive(data);
  }

  /** This side's connection to the server was down and is back: signals may be lost. */
  resync() {
    this.#peer?.resync();
  }

  /** This side's devices have changed: update the tracks and tell the partner. */
  devicesChanged() {
    const { tracks, sending } = this.#options.devices();
    this.#peer?.replace("audio", tracks.audio);
    this.#peer?.replace("video", tracks.video);
    this.#peer?.tell(sending);
  }

  /** Close the peer and forget the session. */
  close() {
    this.#peer?.close();
    this.#peer = null;
    this.#session = null;
    this.#id = null;
    this.#mine = false;
  }

  /** @param {string | null} id */
  #renew(id) {
    if (!this.#session || id === null || id === this.#id) return;
    if (!this.#renewals.take(this.#now())) return;
    const stands = this.#mine && !this.flowed && id < /** @type {string} */ (this.#id);
    // The partner may not have received this side's call: begin it again, with a new and larger id.
    if (stands) return this.#beginAgain(`${this.#id}.`);
    this.#peer?.close();
    this.#id = id;
    this.#mine = false;
    this.#options.onRenewed();
    this.#meet();
  }

  /** @param {string} id */
  #beginAgain(id) {
    this.#peer?.close();
    this.#id = id;
    this.#mine = true;
    this.#send({ kind: "renew" });
    this.#meet();
  }

  #meet() {
    const { session, initiator, iceServers } = /** @type {Session} */ (this.#session);
    const { tracks, sending } = this.#options.devices();
    const { onStream, onPartnerMedia, onInterrupted } = this.#options;
    try {
      this.#peer = new this.#Peer(
        {
          initiator,
          iceServers,
          send: (signal) => this.#send(signal),
          onStream,
          onPartnerMedia,
          onInterrupted,
          onFlow: () => this.#options.onFlow(session),
          onFailed: (code) => this.#options.onFailed(session, code),
        },
        tracks,
        sending,
      );
    } catch {
      this.#peer = null;
      this.#options.onFailed(session, "no_webrtc");
    }
  }

  /** @param {object} signal */
  #send(signal) {
    if (!this.#session) return;
    this.#options.send(this.#session.session, this.#id === null ? signal : { ...signal, call: this.#id });
  }
}

/**
 * The problem that prevents calls in this browser; null: none. The only test is to create a connection.
 * @param {RTCIceServer[]} iceServers
 * @param {(new (configuration: RTCConfiguration) => RTCPeerConnection) | undefined} Connection
 * @returns {Problem | null}
 */
export function cannotCall(iceServers, Connection = globalThis.RTCPeerConnection) {
  if (!Connection) return NO_CALLS;
  try {
    new Connection({ iceServers }).close();
    return null;
  } catch {
    return iceServers.length > 0 && cannotCall([], Connection) === null ? BAD_SETTINGS : NO_CALLS;
  }
}

/** @type {Problem} */
const NO_CALLS = {
  device: "both",
  reason: "no_calls",
  title: "This browser cannot make video calls",
  advice:
    "WebRTC is missing or switched off here. Use a current Firefox, Chrome, Edge or Safari, or switch off the" +
    " extension or setting that blocks it.",
  fallback: null,
  fallbackLabel: "",
};

/** @type {Problem} */
const BAD_SETTINGS = {
  ...NO_CALLS,
  title: "Calls are not set up correctly here",
  advice: "This browser does not understand the server's settings for calls. Please tell those who run it.",
};

/** @param {any} data */
function idOf(data) {
  const id = data?.call;
  return typeof id === "string" && id.length <= ID_MAX ? id : null;
}

function randomId() {
  return crypto.getRandomValues(new Uint32Array(3)).join("-");
}
