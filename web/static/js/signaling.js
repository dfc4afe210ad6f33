/**
 * The one WebSocket to the server: says hello, resumes, keeps the line alive and comes back when it drops.
 * It owns the socket, its timers, the resume key (in memory only) and what waits to be sent. It draws nothing
 * and decides nothing about the encounter: frames go to `onFrame` as they come.
 */

import { CLOSES, VERSION } from "./protocol.js";

/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {import("./protocol.js").ClientFrame} ClientFrame */
/** @typedef {import("./protocol.js").AfterClose} AfterClose */

/**
 * How the line is: `off` (not started), `connecting` (no welcome yet), `open`, `waiting` (for the next try),
 * `stopped` (for good, until `start` is called again; `code` and `message` say why).
 * @typedef {{ status: "off" | "connecting" | "open" | "waiting" }
 *   | { status: "stopped", code: number, message: string }} Link
 */

/**
 * What signaling needs of its surroundings; tests bring their own.
 * @typedef {object} Surroundings
 * @property {new (url: string) => WebSocket} WebSocket
 * @property {(callback: () => void, delay_ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now milliseconds on a clock that never goes back
 * @property {() => number} random from 0 up to 1
 */

/**
 * @typedef {object} SignalingOptions
 * @property {string} url
 * @property {(refused: boolean) => Promise<string>} identify gives the token to say hello with; `refused`: the
 *   last one was, so a new identity is needed. May reject: it is asked again with the next try.
 * @property {(frame: ServerFrame) => void} onFrame
 * @property {(link: Link) => void} onLink
 * @property {Surroundings} [surroundings]
 */

/** From connecting to `welcome`; the server itself gives a handshake 5 s for its hello. */
const WELCOME_LIMIT_MS = 10_000;
/** From `ping` to any sign of life. Well inside the default grace of 15 s, so a resume still finds its session. */
const PONG_LIMIT_MS = 6_000;
/** The first wait before coming back; doubled with every failure. */
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 15_000;
/** A restarting server takes everybody back: they come spread over this long. */
const SCATTER_MS = 3_000;
/** After being told that we ask far too much. */
const LATER_MS = 20_000;
/** A connection that lived this long was a good one: the next failure starts from the shortest wait. */
const GOOD_AFTER_MS = 5_000;
/** What may wait to be sent while the line is down. An encounter needs a few dozen frames at most. */
const OUTBOX_MAX = 200;

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** @returns {Surroundings} */
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
  #world;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {{ key: string, seq: number } | null} */
  #resume = null;
  /** @type {ClientFrame[]} */
  #outbox = [];
  /** @type {Link["status"]} */
  #status = "off";
  #refused = false;
  #failures = 0;
  #opened_at = 0;
  #heartbeat_ms = 25_000;
  /** Rises with every try, so that an answer to an abandoned one is recognised. */
  #attempt = 0;
  /** @type {any} */
  #heartbeat = null;
  /** @type {any} */
  #deadline = null;
  /** @type {any} */
  #retry = null;

  /** @param {SignalingOptions} options */
  constructor(options) {
    this.#options = options;
    this.#world = options.surroundings ?? browser();
  }

  get status() {
    return this.#status;
  }

  /** Connect as somebody new: whatever was resumable or waiting to be sent is forgotten. */
  start() {
    this.#drop();
    this.#resume = null;
    this.#outbox = [];
    this.#refused = false;
    this.#failures = 0;
    this.#connect();
  }

  /** Hang up and stay silent until `start`. */
  stop() {
    this.#drop();
    this.#resume = null;
    this.#outbox = [];
    this.#tell({ status: "off" });
  }

  /**
   * Say this to the server: at once, or after the next welcome. A frame that is late by then does no harm:
   * the server drops what belongs to another session, and refuses politely what it cannot use.
   * @param {ClientFrame} frame
   */
  send(frame) {
    // What is sent on a socket that is closing vanishes in silence.
    if (this.#status === "open" && this.#socket?.readyState === OPEN) {
      this.#write(frame);
    } else if (this.#status !== "stopped" && this.#status !== "off") {
      this.#outbox.push(frame);
      if (this.#outbox.length > OUTBOX_MAX) this.#outbox.shift();
    }
  }

  /** Something suggests that the network has changed: try now instead of later, or see whether the line holds. */
  nudge() {
    if (this.#status === "waiting") this.#connect();
    else if (this.#status === "open") this.#ping();
  }

  async #connect() {
    this.#forgetTimers();
    const attempt = ++this.#attempt;
    this.#tell({ status: "connecting" });
    this.#deadline = this.#world.setTimeout(() => this.#lost("soon"), WELCOME_LIMIT_MS);
    let token;
    try {
      token = await this.#options.identify(this.#refused);
      this.#refused = false;
    } catch {
      if (attempt === this.#attempt) this.#lost("soon");
      return;
    }
    if (attempt === this.#attempt) this.#open(token);
  }

  /** @param {string} token */
  #open(token) {
    const socket = new this.#world.WebSocket(this.#options.url);
    this.#socket = socket;
    socket.onopen = () => {
      const hello = { type: "hello", version: VERSION, token };
      socket.send(JSON.stringify(this.#resume ? { ...hello, resume: this.#resume } : hello));
    };
    socket.onmessage = (event) => this.#hear(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  /** @param {unknown} text */
  #hear(text) {
    const frame = parse(text);
    if (!frame) return;
    if (frame.type === "welcome") {
      this.#welcomed(frame);
    } else if (this.#resume && typeof frame.seq === "number") {
      this.#resume.seq = frame.seq;
    }
    this.#stillThere();
    if (frame.type !== "pong") this.#options.onFrame(frame);
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #welcomed(welcome) {
    this.#resume = { key: welcome.resume.key, seq: welcome.seq };
    this.#heartbeat_ms = welcome.heartbeat_ms;
    this.#opened_at = this.#world.now();
    this.#tell({ status: "open" });
    const waiting = this.#outbox;
    this.#outbox = [];
    for (const frame of waiting) this.#write(frame);
    this.#beat();
  }

  /** @param {ClientFrame} frame */
  #write(frame) {
    this.#socket?.send(JSON.stringify(frame));
    this.#beat();
  }

  /** Ping when nothing else was said for a heartbeat, a little early so that jitter never makes it late. */
  #beat() {
    this.#world.clearTimeout(this.#heartbeat);
    const silence_ms = this.#heartbeat_ms * (0.8 + 0.2 * this.#world.random());
    this.#heartbeat = this.#world.setTimeout(() => this.#ping(), silence_ms);
  }

  #ping() {
    this.#write({ type: "ping" });
    if (this.#deadline === null) {
      this.#deadline = this.#world.setTimeout(() => this.#lost("soon"), PONG_LIMIT_MS);
    }
  }

  #stillThere() {
    this.#world.clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  /** @param {number} code */
  #closed(code) {
    const close = CLOSES.get(code);
    const then = close?.then ?? "soon";
    if (then === "stop") {
      this.#drop();
      this.#resume = null;
      this.#outbox = [];
      this.#tell({ status: "stopped", code, message: close?.message ?? "" });
      return;
    }
    if (then === "renew") {
      this.#refused = true;
      this.#resume = null;
    }
    this.#lost(then);
  }

  /**
   * The line is down: come back after the wait that the reason asks for.
   * @param {AfterClose} then
   */
  #lost(then) {
    if (this.#status === "open" && this.#world.now() - this.#opened_at >= GOOD_AFTER_MS) this.#failures = 0;
    const wait_ms = this.#wait_ms(then);
    this.#failures += 1;
    this.#drop();
    this.#tell({ status: "waiting" });
    this.#retry = this.#world.setTimeout(() => this.#connect(), wait_ms);
  }

  /** @param {AfterClose} then */
  #wait_ms(then) {
    const chance = this.#world.random();
    const backoff_ms =
      Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures) * (0.5 + 0.5 * chance);
    if (then === "renew") return this.#failures === 0 ? 0 : backoff_ms;
    if (then === "scattered") return Math.max(backoff_ms, SCATTER_MS * chance);
    if (then === "later") return LATER_MS * (1 + chance);
    return backoff_ms;
  }

  /** Let go of the socket without waiting for it: on a dead network its closing handshake takes minutes. */
  #drop() {
    this.#attempt += 1;
    this.#forgetTimers();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #forgetTimers() {
    for (const timer of [this.#heartbeat, this.#deadline, this.#retry]) this.#world.clearTimeout(timer);
    this.#heartbeat = this.#deadline = this.#retry = null;
  }

  /** @param {Link} link */
  #tell(link) {
    this.#status = link.status;
    this.#options.onLink(link);
  }
}

/**
 * @param {unknown} text
 * @returns {ServerFrame | null} null for what is no frame: a later server may say things that we do not know
 */
function parse(text) {
  if (typeof text !== "string") return null;
  try {
    const frame = JSON.parse(text);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
