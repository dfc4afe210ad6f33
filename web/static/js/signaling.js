/**
 * The one WebSocket to the server: sends hello, resumes, sends heartbeats and reconnects when the connection drops.
 * It owns the socket, its timers, the resume key and the unacknowledged frames (`Said`). It draws nothing and decides
 * nothing about the encounter: it passes each frame to `onFrame`.
 */

import { Budget } from "./budget.js";
import { afterClose } from "./closes.js";
import { VERSION } from "./protocol.js";
import { KEPT_MAX, Said } from "./said.js";
import { readFrame } from "./server_frames.js";

/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {import("./protocol.js").ClientFrame} ClientFrame */
/** @typedef {import("./protocol.js").AfterClose} AfterClose */

/**
 * The state of the connection: `off` (not started), `connecting` (no welcome yet), `open`, `waiting` (for the next try
 * at `until` on the clock of `now`; with a `message` if the server asked for the wait), `stopped` (until `start` is
 * called again; `code` and `message` say why).
 * @typedef {{ status: "off" | "connecting" | "open" }
 *   | { status: "waiting", message: string, until: number }
 *   | { status: "stopped", code: number, message: string }} Link
 */

/** The key of the actor to resume, and the `seq` of the last frame that it sent. @typedef {{ key: string, seq: number }} Place */

/**
 * The browser functions that signaling uses; tests replace them.
 * @typedef {object} SignalingEnvironment
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {(callback: () => void, delay_ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now milliseconds on a clock that never goes back
 * @property {() => number} random from 0 up to 1
 */

/**
 * @typedef {object} SignalingOptions
 * @property {string} url
 * @property {(refused: boolean) => Promise<string>} identify gives the token for `hello`; `refused`: the server
 *   refused the last one, so a new identity is needed. If it rejects, the next try calls it again, after at least the
 *   `wait_ms` of the error; if there is one, its `message` is a sentence for the person.
 * @property {(frame: ServerFrame) => void} onFrame
 * @property {(link: Link) => void} onLink
 * @property {SignalingEnvironment} [environment]
 */

/** The time limit from connecting to `welcome`; the server waits 5 s for the hello. */
const WELCOME_LIMIT_MS = 10_000;
/** The time limit from `ping` to any frame. Well below the default grace of 15 s, so a resume still finds its actor. */
const PONG_LIMIT_MS = 6_000;
/** The first wait before reconnecting; it doubles with every failure. */
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 15_000;
/** After a restart of the server, clients reconnect at random times within this period. */
const SCATTER_MS = 3_000;
/** The least wait after the close code for too many frames or connections. */
const LATER_MS = 20_000;
/** After a connection of at least this duration, the backoff starts again from the shortest wait. */
const GOOD_AFTER_MS = 5_000;
/** Half of what the server allows in the long run, and less than a third at once, so it never answers `too_fast`. */
const FRAMES = { per_s: 15, burst: 60 };
/** A frame without acknowledgement for this long causes a ping, which detects a dead connection within the grace. */
const ASK_MS = 1_000;
/** Events that suggest a change of network come in groups: at most one try in this time. */
const NUDGE_MS = 1_000;

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** @returns {SignalingEnvironment} */
function browser() {
  return {
    WebSocket,
    setTimeout: (callback, delay_ms) => setTimeout(callback, delay_ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => performance.now(),
    random: () => Math.random(),
  };
}

export class Signaling {
  #options;
  #environment;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Place | null} */
  #resume = null;
  /** The callers of `up` that wait. @type {(() => void)[]} */
  #waiting = [];
  #said = new Said();
  #pace;
  /** Has a snapshot arrived on this connection? Before it, the page does not know which session is over. */
  #settled = false;
  /** @type {Link["status"]} */
  #status = "off";
  /** How often in a row the server refused the token, and whether a new one is needed. */
  #refusals = 0;
  #refused = false;
  #failures = 0;
  #opened_at = 0;
  #tried_at = 0;
  /** Did the server ask for the current wait? Then nothing shortens it. */
  #asked = false;
  #heartbeat_ms = 25_000;
  /** Increases with every try, so that the result of an abandoned one is ignored. */
  #attempt = 0;
  /** @type {any} */
  #heartbeat = null;
  /** @type {any} */
  #deadline = null;
  /** @type {any} */
  #retry = null;
  /** @type {any} */
  #turn = null;
  /** @type {any} */
  #ask = null;

  /** @param {SignalingOptions} options */
  constructor(options) {
    this.#options = options;
    this.#environment = options.environment ?? browser();
    this.#pace = new Budget(FRAMES, this.#environment.now());
  }

  /** Is the page connected, or trying to connect? */
  get isComing() {
    return this.#status !== "off" && this.#status !== "stopped";
  }

  /** What is needed to resume the current actor; null: there is none. */
  get place() {
    return this.#resume && { ...this.#resume };
  }

  /** Resolves as soon as `welcome` and the first snapshot have arrived on the current connection. @returns {Promise<void>} */
  up() {
    if (this.#status === "open" && this.#settled) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * Connect anew: forget the resume key and the frames that wait to be sent.
   * @param {Place | null} [place] resume this actor, if it still lives; otherwise the server creates a new one
   */
  start(place = null) {
    if (this.#writable) this.#write({ type: "leaving" });
    this.#drop();
    this.#resume = place;
    this.#status = "off";
    this.#said.clear();
    this.#refusals = 0;
    this.#refused = false;
    this.#failures = 0;
    this.#connect();
  }

  /** Close the connection until `start` is called. */
  stop() {
    this.#leave({ status: "off" });
  }

  /**
   * Send a frame to the server: now, or when the page is connected again.
   * @param {ClientFrame} frame
   * @param {import("./said.js").OnFate} [onFate] called each time that the frame's fate changes
   */
  send(frame, onFate = () => {}) {
    if (this.#status === "stopped" || this.#status === "off") return onFate("lost");
    if (!this.#writable) onFate("waits");
    this.#said.add(frame, onFate);
    this.#pump();
  }

  /** The network may have changed: reconnect now instead of later, or test the connection with a ping. */
  nudge() {
    if (this.#status === "open") this.#ping();
    if (this.#status !== "waiting" || this.#asked) return;
    const wait_ms = this.#tried_at + NUDGE_MS - this.#environment.now();
    if (wait_ms <= 0) return void this.#connect();
    this.#environment.clearTimeout(this.#retry);
    this.#retry = this.#environment.setTimeout(() => this.#connect(), wait_ms);
  }

  /** Remove a search that was not sent yet. @returns {boolean} false: there is none, or it may have arrived */
  takeBackSearch() {
    return this.#said.takeBackSearch();
  }

  /** A frame sent on a closing socket is lost without an error, hence the check of `readyState`. */
  get #writable() {
    return this.#status === "open" && this.#settled && this.#socket?.readyState === OPEN;
  }

  async #connect() {
    this.#forgetTimers();
    const attempt = ++this.#attempt;
    this.#tried_at = this.#environment.now();
    this.#tell({ status: "connecting" });
    this.#deadline = this.#environment.setTimeout(() => this.#lost("soon"), WELCOME_LIMIT_MS);
    let token;
    try {
      token = await this.#options.identify(this.#refused);
      this.#refused = false;
    } catch (error) {
      if (attempt === this.#attempt) this.#lost("soon", asAsked(error));
      return;
    }
    if (attempt === this.#attempt) this.#open(token);
  }

  /** @param {string} token */
  #open(token) {
    const socket = new this.#environment.WebSocket(this.#options.url);
    this.#socket = socket;
    socket.onopen = () => {
      /** @type {import("./protocol.js").Hello} */
      const hello = { type: "hello", version: VERSION, token };
      socket.send(JSON.stringify(this.#resume ? { ...hello, resume: this.#resume } : hello));
    };
    socket.onmessage = (event) => this.#hear(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** @param {unknown} text */
  #hear(text) {
    const frame = readFrame(text);
    if (!frame) return;
    if (frame.type === "welcome") {
      this.#welcomed(frame);
    } else if (this.#resume && typeof frame.seq === "number") {
      this.#resume.seq = frame.seq;
    }
    this.#stillThere();
    if (frame.type === "pong") return this.#said.heard(frame.heard ?? 0);
    if (frame.type === "state") this.#said.at(frame);
    this.#options.onFrame(frame);
    if (frame.type === "error" && frame.n) this.#said.refused(frame.n);
    if (frame.type !== "state") return;
    this.#settled = true;
    for (const tell of this.#waiting.splice(0)) tell();
    this.#pump();
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #welcomed(welcome) {
    this.#resume = { key: welcome.resume.key, seq: welcome.seq };
    this.#heartbeat_ms = welcome.heartbeat_ms;
    this.#opened_at = this.#environment.now();
    this.#refusals = 0;
    this.#tell({ status: "open" });
    this.#said.up(welcome.resumed, welcome.heard);
    this.#beat();
  }

  /** Send the waiting frames, at the rate of `FRAMES`. */
  #pump() {
    while (this.#writable && this.#said.waits && this.#turn === null) {
      const now = this.#environment.now();
      if (this.#pace.take(now)) {
        this.#write(/** @type {ClientFrame} */ (this.#said.next()));
        this.#askLater();
      } else {
        this.#turn = this.#environment.setTimeout(() => {
          this.#turn = null;
          this.#pump();
        }, this.#pace.wait_ms(now));
      }
    }
  }

  /** Ping to get an acknowledgement: after `ASK_MS`, or at once if many frames are unacknowledged. */
  #askLater() {
    const { unheard } = this.#said;
    if (unheard >= KEPT_MAX / 2 && this.#deadline === null) this.#ping();
    if (unheard === 0) return;
    this.#ask ??= this.#environment.setTimeout(() => {
      this.#ask = null;
      if (this.#said.unheard > 0) this.#ping();
    }, ASK_MS);
  }

  /** @param {ClientFrame} frame */
  #write(frame) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(frame));
    this.#beat();
  }

  /** Ping if nothing else is sent for a heartbeat; a little early, so that jitter never makes it late. */
  #beat() {
    this.#environment.clearTimeout(this.#heartbeat);
    const silence_ms = this.#heartbeat_ms * (0.8 + 0.2 * this.#environment.random());
    this.#heartbeat = this.#environment.setTimeout(() => this.#ping(), silence_ms);
  }

  #ping() {
    this.#write({ type: "ping" });
    if (this.#deadline === null) {
      this.#deadline = this.#environment.setTimeout(() => this.#lost("soon"), PONG_LIMIT_MS);
    }
  }

  #stillThere() {
    this.#environment.clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  /** @param {number} code */
  #closed(code) {
    const { then, message } = afterClose(code);
    if (then === "renew") this.#refusals += 1;
    // If the server refuses a new guest as well, it will refuse the next one, too: the fault is on the server.
    if (then === "stop" || this.#refusals > 1) return this.#leave({ status: "stopped", code, message });
    // The resume key is kept: the server ignores a key that does not fit the token.
    if (then === "renew") this.#refused = true;
    this.#lost(then, then === "later" ? { message } : {});
  }

  /**
   * The connection is down: reconnect after the wait for this reason.
   * @param {AfterClose} then
   * @param {{ message?: string, wait_ms?: number }} asked why the server asked for a wait, if it did, and for how long
   */
  #lost(then, { message = "", wait_ms = 0 } = {}) {
    const now = this.#environment.now();
    if (this.#status === "open" && now - this.#opened_at >= GOOD_AFTER_MS) this.#failures = 0;
    const wait = Math.max(wait_ms, this.#wait_ms(then));
    this.#failures += 1;
    this.#drop();
    this.#asked = message !== "";
    this.#tell({ status: "waiting", message, until: now + wait });
    this.#retry = this.#environment.setTimeout(() => this.#connect(), wait);
    this.#said.down();
  }

  /** Disconnect, and forget the resume key and the waiting frames. @param {Link} link */
  #leave(link) {
    this.#drop();
    this.#resume = null;
    this.#tell(link);
    this.#said.clear();
  }

  /** @param {AfterClose} then */
  #wait_ms(then) {
    const chance = this.#environment.random();
    const backoff_ms =
      Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures) * (0.5 + 0.5 * chance);
    if (then === "renew") return this.#failures === 0 ? 0 : backoff_ms;
    if (then === "scattered") return Math.max(backoff_ms, SCATTER_MS * chance);
    if (then === "later") return LATER_MS * (1 + chance);
    return backoff_ms;
  }

  /** Abandon the socket without waiting: on a dead network its closing handshake takes minutes. */
  #drop() {
    this.#attempt += 1;
    this.#forgetTimers();
    const socket = this.#socket;
    this.#socket = null;
    this.#settled = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #forgetTimers() {
    const timers = [this.#heartbeat, this.#deadline, this.#retry, this.#turn, this.#ask];
    for (const timer of timers) this.#environment.clearTimeout(timer);
    this.#heartbeat = this.#deadline = this.#retry = this.#turn = this.#ask = null;
  }

  /** @param {Link} link */
  #tell(link) {
    this.#status = link.status;
    this.#options.onLink(link);
  }
}

/** What an error of `identify` says about when to ask again. @param {any} error */
function asAsked(error) {
  return error?.wait_ms > 0 ? { message: error.message, wait_ms: error.wait_ms } : {};
}
