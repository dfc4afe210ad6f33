/**
 * One call with one partner: the RTCPeerConnection of one session, with perfect negotiation.
 *
 * Theory of operation
 * -------------------
 * The server chooses the initiator. The initiator adds the transceivers, so it makes the first offer, and it is the
 * impolite peer: when two offers collide, it ignores the other one, and the other side rolls its own back. There is
 * always one audio and one video transceiver, both `sendrecv`; a side without a camera sends nothing on the latter. So
 * switching a camera on or off, or losing it, never needs a new offer, and the only later offers are ICE restarts.
 *
 * The signals of the partner are handled strictly in sequence (`#work`). A `Peer` belongs to one session and is closed
 * with it: it ignores later signals, so none of an old session reaches a new one. The sockets of either side may drop
 * while signals are in flight; `resync` makes both sides send the current ones again.
 *
 * The server relays signals unread, and disconnects a page that sends too many. So an `Inbox` bounds the incoming ones,
 * and the reactions to them have rates of their own, far below the 30 frames per second that the server allows.
 *
 * It owns the connection and its timers. The caller owns the tracks, and draws.
 */

import { Budget, Throttle } from "./budget.js";
import { FlowWatch } from "./flow.js";
import { Inbox } from "./inbox.js";
import { Trickle } from "./trickle.js";

/** @typedef {import("./flow.js").Sending} Sending */

/**
 * The `data` of a `signal` frame.
 * @typedef {{ kind: "description", description: RTCSessionDescriptionInit }
 *   | { kind: "candidates", candidates: RTCIceCandidateInit[] }
 *   | { kind: "media", audio: boolean, video: boolean }
 *   | { kind: "resync" }} Signal
 */

/** @typedef {{ audio: MediaStreamTrack | null, video: MediaStreamTrack | null }} Tracks */

/**
 * @typedef {object} PeerOptions
 * @property {boolean} initiator
 * @property {RTCIceServer[]} iceServers
 * @property {(signal: Signal) => void} send to the partner, in order
 * @property {(stream: MediaStream) => void} onStream the partner's tracks; once
 * @property {() => void} onFlow this side's media flows; once
 * @property {(code: string) => void} onFailed the call cannot be set up; once, and only before `onFlow`
 * @property {(sending: Sending) => void} onPartnerMedia the media that the partner has announced
 * @property {(interrupted: boolean) => void} onInterrupted the call has stopped flowing, or flows again
 * @property {PeerEnvironment} [environment]
 */

/**
 * The browser functions that a peer uses; tests replace them.
 * @typedef {object} PeerEnvironment
 * @property {new (configuration: RTCConfiguration) => RTCPeerConnection} RTCPeerConnection
 * @property {new () => MediaStream} MediaStream
 * @property {(callback: () => void, delay_ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now
 */

/** How often a `resync` is answered, and how often one is asked for. It repeats up to three frames. */
const ANSWERS = { per_s: 1, burst: 1 };
/** How often a description of the partner is applied. A call takes one or two, and one more for each ICE restart. */
const DESCRIPTIONS = { per_s: 1, burst: 5 };
/** How often this side sends `media`: as fast as a person presses Mute, but not as fast as a key repeats. */
const TELLINGS = { per_s: 3, burst: 5 };
/** A "disconnected" connection often recovers within a second or two; after this time, ICE is restarted. */
const MEND_MS = 3_000;
/** How often ICE may fail before media has flowed, until the call is given up. */
const FAILURES_MAX = 2;

/** @returns {PeerEnvironment} */
function browser() {
  return {
    RTCPeerConnection,
    MediaStream,
    setTimeout: (callback, delay_ms) => setTimeout(callback, delay_ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => performance.now(),
  };
}

export class Peer {
  #options;
  #environment;
  #pc;
  #local;
  #remote;
  /** @type {Tracks} */
  #tracks;
  /** @type {Sending} */
  #sending;
  #inbox = new Inbox();
  #working = false;
  #descriptions;
  #answers;
  #resyncs;
  #tellings;
  #trickle;
  #watch;
  #offering = false;
  #hasStarted = false;
  #flowed = false;
  #closed = false;
  #failures = 0;
  /** @type {any} */
  #mend = null;
  /** @type {any} */
  #later = null;

  /**
   * @param {PeerOptions} options
   * @param {Tracks} tracks what this side has to send; lent, never stopped here
   * @param {Sending} sending
   */
  constructor(options, tracks, sending) {
    this.#options = options;
    this.#environment = options.environment ?? browser();
    this.#tracks = { ...tracks };
    this.#sending = sending;
    this.#local = new this.#environment.MediaStream();
    this.#remote = new this.#environment.MediaStream();
    this.#descriptions = new Budget(DESCRIPTIONS, this.#environment.now());
    this.#answers = new Throttle(() => this.#sayAgain(), ANSWERS, this.#environment);
    this.#resyncs = new Throttle(() => this.#askAgain(), ANSWERS, this.#environment);
    this.#tellings = new Throttle(() => this.#sayMedia(), TELLINGS, this.#environment);
    this.#trickle = new Trickle(options.send, this.#environment);
    this.#pc = new this.#environment.RTCPeerConnection({ iceServers: options.iceServers });
    this.#watch = new FlowWatch(this.#pc, this.#environment, () => this.#flow());
    this.#listen();
    this.tell(sending);
    if (options.initiator) {
      for (const kind of /** @type {const} */ (["audio", "video"])) {
        this.#pc.addTransceiver(tracks[kind] ?? kind, { direction: "sendrecv", streams: [this.#local] });
      }
    }
  }

  /** Has this side's media flowed? */
  get flowed() {
    return this.#flowed;
  }

  /**
   * A signal of the partner. Call it in the order in which they arrive.
   * @param {any} signal not checked by the server, so it may be anything
   */
  receive(signal) {
    if (this.#closed) return;
    this.#inbox.put(signal);
    this.#work();
  }

  /**
   * Send this track from now on (null: nothing).
   * @param {"audio" | "video"} kind
   * @param {MediaStreamTrack | null} track
   */
  async replace(kind, track) {
    this.#tracks[kind] = track;
    try {
      if (!this.#closed) await this.#transceiver(kind)?.sender.replaceTrack(track);
    } catch {
      // closed in the meantime
    }
  }

  /**
   * Announce to the partner which media this side sends.
   * @param {Sending} sending
   */
  tell(sending) {
    this.#sending = sending;
    if (!this.#closed) this.#tellings.ask();
  }

  /** This side's socket was down and is back: signals may be lost. */
  resync() {
    if (!this.#closed) this.#resyncs.ask();
  }

  /** Close the connection and stop all timers; later signals have no effect. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of [this.#mend, this.#later]) this.#environment.clearTimeout(timer);
    for (const it of [this.#answers, this.#resyncs, this.#tellings, this.#trickle, this.#watch]) it.stop();
    this.#inbox.clear();
    this.#pc.onnegotiationneeded =
      this.#pc.onicecandidate =
      this.#pc.ontrack =
      this.#pc.onconnectionstatechange =
        null;
    this.#pc.close();
  }

  #listen() {
    this.#pc.onnegotiationneeded = () => this.#offer();
    this.#pc.onicecandidate = ({ candidate }) => candidate && this.#trickle.add(candidate.toJSON());
    this.#pc.ontrack = ({ track }) => {
      const first = this.#remote.getTracks().length === 0;
      this.#remote.addTrack(track);
      if (first) this.#options.onStream(this.#remote);
    };
    this.#pc.onconnectionstatechange = () => this.#connectionChanged();
  }

  async #offer() {
    this.#offering = true;
    try {
      await this.#describe();
    } catch {
      this.#fail("negotiation_failed");
    } finally {
      this.#offering = false;
    }
  }

  /** Make and send the offer or answer that is due. */
  async #describe() {
    this.#trickle.again();
    await this.#pc.setLocalDescription();
    this.#sayDescription();
  }

  #sayDescription() {
    const description = this.#pc.localDescription;
    if (this.#closed || !description) return;
    this.#options.send({
      kind: "description",
      description: { type: description.type, sdp: description.sdp },
    });
  }

  /** Handle waiting signals of the partner, until none may be handled now. */
  async #work() {
    if (this.#working) return;
    this.#working = true;
    for (let more = true; more && !this.#closed;) {
      try {
        await null; // signals that arrive together are handled together
        more = await this.#handle();
      } catch {
        this.#fail("negotiation_failed");
      }
    }
    this.#working = false;
  }

  /** @returns {Promise<boolean>} whether a signal was handled */
  async #handle() {
    const media = this.#inbox.takeMedia();
    if (media) {
      this.#watch.partner = media;
      this.#options.onPartnerMedia(media);
    }
    const candidates = this.#inbox.takeCandidates();
    await this.#hearCandidates(candidates);
    const description = this.#nextDescription();
    if (description) {
      await this.#hearDescription(description);
      return true;
    }
    if (this.#closed) return false;
    const resync = this.#inbox.takeResync();
    if (resync) this.#answers.ask();
    return media !== null || candidates.length > 0 || resync;
  }

  /** The partner's next description; beyond the rate null, and it is handled later. */
  #nextDescription() {
    const now = this.#environment.now();
    if (!this.#inbox.hasDescription || this.#closed) return null;
    if (this.#descriptions.take(now)) return this.#inbox.takeDescription();
    this.#later ??= this.#environment.setTimeout(() => {
      this.#later = null;
      this.#work();
    }, this.#descriptions.wait_ms(now));
    return null;
  }

  /** @param {RTCSessionDescriptionInit} description */
  async #hearDescription(description) {
    const isOffer = description.type === "offer";
    const crossed = isOffer && (this.#offering || this.#pc.signalingState !== "stable");
    if (crossed && this.#options.initiator) return;
    // An offer that was sent twice gets two answers; ignore the second.
    if (!isOffer && this.#pc.signalingState !== "have-local-offer") return;
    await this.#pc.setRemoteDescription(description);
    if (!isOffer || this.#closed) return;
    if (!this.#options.initiator && !this.#hasStarted) await this.#startSending();
    await this.#describe();
  }

  /** The first offer has created the transceivers: make them `sendrecv`, and send on them. */
  async #startSending() {
    this.#hasStarted = true;
    for (const kind of /** @type {const} */ (["audio", "video"])) {
      const transceiver = this.#transceiver(kind);
      if (!transceiver) continue;
      transceiver.direction = "sendrecv";
      transceiver.sender.setStreams?.(this.#local);
      await transceiver.sender.replaceTrack(this.#tracks[kind]);
    }
  }

  /** @param {"audio" | "video"} kind */
  #transceiver(kind) {
    return this.#pc.getTransceivers().find((transceiver) => transceiver.receiver.track.kind === kind);
  }

  /** @param {RTCIceCandidateInit[]} candidates */
  async #hearCandidates(candidates) {
    for (const candidate of candidates) {
      try {
        await this.#pc.addIceCandidate(candidate);
      } catch {
        // Candidates of an ignored offer, or of one before an ICE restart, cannot be added.
        // They are not needed: the others belong to the current description.
      }
    }
  }

  #sayMedia() {
    this.#options.send({ kind: "media", ...this.#sending });
  }

  /** Signals may be lost: send this side's again, and ask the partner to do the same. */
  #askAgain() {
    this.#options.send({ kind: "resync" });
    this.#sayAgain();
  }

  /** Signals may be lost: repeat `media` and an unanswered offer, or restart ICE. */
  #sayAgain() {
    this.#sayMedia();
    if (this.#pc.signalingState === "have-local-offer") this.#sayDescription();
    else if (this.#options.initiator && this.#pc.connectionState !== "connected") this.#pc.restartIce();
  }

  #connectionChanged() {
    this.#environment.clearTimeout(this.#mend);
    this.#mend = null;
    switch (this.#pc.connectionState) {
      case "connected":
        this.#watch.up();
        this.#failures = 0;
        this.#options.onInterrupted(false);
        break;
      case "disconnected":
        this.#options.onInterrupted(true);
        this.#mend = this.#environment.setTimeout(() => this.#pc.restartIce(), MEND_MS);
        break;
      case "failed":
        this.#failures += 1;
        if (!this.#flowed && this.#failures >= FAILURES_MAX) return this.#fail("ice_failed");
        this.#options.onInterrupted(true);
        this.#pc.restartIce();
        break;
      default:
    }
  }

  #flow() {
    this.#flowed = true;
    this.#options.onFlow();
  }

  /** @param {string} code */
  #fail(code) {
    if (this.#closed || this.#flowed) return;
    this.close();
    this.#options.onFailed(code);
  }
}
