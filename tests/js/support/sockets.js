import { FakeClock, settle } from "./clock.js";

/** A WebSocket whose server is the test. */
export class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  /** @type {any[]} */
  sent = [];
  closed = false;
  /** @type {any} */
  onopen = null;
  /** @type {any} */
  onmessage = null;
  /** @type {any} */
  onclose = null;

  /** @param {string} url */
  constructor(url) {
    this.url = url;
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
    this.readyState = 2;
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** The server says this. @param {object} frame */
  say(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** The server hangs up. @param {number} code */
  hangUp(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  get types() {
    return this.sent.map((frame) => frame.type);
  }
}

/** What signaling needs, in the hands of a test. */
export class FakeWorld {
  clock = new FakeClock();
  /** @type {FakeSocket[]} */
  sockets = [];
  chance = 0.5;

  /** @returns {any} */
  get environment() {
    const { sockets } = this;
    return {
      WebSocket: class extends FakeSocket {
        /** @param {string} url */
        constructor(url) {
          super(url);
          sockets.push(this);
        }
      },
      setTimeout: this.clock.setTimeout,
      clearTimeout: this.clock.clearTimeout,
      now: this.clock.now,
      random: () => this.chance,
    };
  }

  /** The newest socket. @returns {FakeSocket} */
  get socket() {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("expected a socket; none was opened");
    return socket;
  }

  /**
   * The server takes the newest socket, welcomes, and says how it is.
   * @param {object} [change] to the welcome
   * @param {object} [state] change to what follows
   */
  async welcome(change = {}, state = {}) {
    await settle();
    this.socket.open();
    this.socket.say({ ...WELCOME, ...change });
    this.socket.say({ ...IDLE, ...state });
  }
}

export const WELCOME = {
  type: "welcome",
  seq: 1,
  version: 1,
  user: { id: "u", name: "Ada" },
  resume: { key: "key", grace_ms: 15000 },
  resumed: false,
  ice_servers: [],
  heartbeat_ms: 25000,
};

/** What follows a welcome. */
export const IDLE = { type: "state", seq: 2, state: "idle", session: null, cause: null };
