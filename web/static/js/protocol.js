/**
 * What the page and the server say to each other, as types and tables: the page's copy of the wire protocol.
 * Data only: nothing here runs, waits or remembers.
 */

/** @typedef {"idle" | "searching" | "connecting" | "connected" | "ended"} State */

/** Where a person can be. The server decides; the page draws. @type {readonly State[]} */
export const STATES = ["idle", "searching", "connecting", "connected", "ended"];

/** @typedef {{ id: string, name: string, away: boolean }} Partner */

/**
 * One whole snapshot of where this person is. Durations are milliseconds, counted from its arrival.
 * @typedef {object} Snapshot
 * @property {"state"} type
 * @property {number} seq
 * @property {State} state
 * @property {string | null} session
 * @property {boolean} [initiator]
 * @property {Partner | null} partner
 * @property {{ name: string, volume: number } | null} sound the loop that belongs to this state
 * @property {string | null} cue a sound to play once
 * @property {number} since_ms how long this state has lasted
 * @property {number | null} deadline_ms how long it still may
 * @property {number | null} search_again_ms
 * @property {string | null} cause
 * @property {string | null} message
 */

/**
 * @typedef {object} Welcome
 * @property {"welcome"} type
 * @property {number} seq
 * @property {{ id: string, name: string }} user
 * @property {{ key: string, grace_ms: number }} resume
 * @property {boolean} resumed
 * @property {RTCIceServer[]} ice_servers
 * @property {number} heartbeat_ms
 * @property {number} [heard] the number of the last frame of this client that the server has dealt with
 * @property {string | null} [token] a fresh one, for the next hello
 * @property {string} [build] of the page that the server serves now
 */

/** @typedef {{ type: "signal", seq: number, session: string, data: any }} SignalFrame */
/** @typedef {{ type: "chat", seq: number, session: string, from: string, text: string }} ChatFrame */
/** @typedef {{ type: "partner", seq: number, session: string, away: boolean }} PartnerFrame */
/** @typedef {{ type: "presence", seq: number, online: number, searching: number }} PresenceFrame */
/** @typedef {{ type: "error", seq: number, code: string, message: string, about?: string | null, n?: number | null }} ErrorFrame */
/** @typedef {{ type: "pong", seq: number, heard?: number }} PongFrame */

/** @typedef {Welcome | Snapshot | SignalFrame | ChatFrame | PartnerFrame | PresenceFrame | ErrorFrame | PongFrame} ServerFrame */

/**
 * What a client may say after its `hello`. All but `ping` and `leaving` have a number `n`, which `said.js` gives them.
 * @typedef {{ type: "search", criteria: object }
 *   | { type: "cancel" }
 *   | { type: "signal", session: string, data: unknown }
 *   | { type: "connected", session: string }
 *   | { type: "failed", session: string, code: string }
 *   | { type: "skip", session: string }
 *   | { type: "end", session: string }
 *   | { type: "chat", session: string, text: string }
 *   | { type: "leaving" }
 *   | { type: "ping" }} ClientFrame
 */

/** What is drawn before the server has said anything. @type {Snapshot} */
export const NOWHERE = {
  type: "state",
  seq: 0,
  state: "idle",
  session: null,
  partner: null,
  sound: null,
  cue: null,
  since_ms: 0,
  deadline_ms: null,
  search_again_ms: null,
  cause: null,
  message: null,
};

export const VERSION = 1;

/** The longest chat text, in characters (code points), as the protocol says. */
export const CHAT_MAX = 2000;

/**
 * What a client does after the server closed its socket:
 * `stop` and say why, `renew` its identity, or come back `soon`, `scattered` over a while, or `later`.
 * @typedef {"stop" | "renew" | "soon" | "scattered" | "later"} AfterClose
 */

/** The close codes of the protocol. Every other code is a dropped connection: come back soon. */
/** @type {ReadonlyMap<number, { then: AfterClose, message?: string }>} */
export const CLOSES = new Map([
  [1009, { then: "stop", message: "This page sent a message that was too long. Reload the page to go on." }],
  [
    4400,
    {
      then: "stop",
      message: "This page and the server do not understand each other. Reload the page to go on.",
    },
  ],
  [
    4401,
    {
      then: "renew",
      message:
        "The server does not let this page in, not even as a new guest. Its clock or its settings may be wrong." +
        " Please try again in a few minutes.",
    },
  ],
  [4408, { then: "soon" }],
  [4409, { then: "stop", message: "You came in with another tab, and each person has one at a time." }],
  [
    4429,
    {
      then: "later",
      message: "Too much came from this page or from your network, so the server asks it to wait.",
    },
  ],
  [4503, { then: "scattered" }],
]);

/** Not even a new token was taken. */
export const REFUSED = 4401;
/** The newest connection of a person won, and it was not this one. */
export const REPLACED = 4409;
