/**
 * What the page and the server say to each other, as types and tables: the page's copy of the wire protocol.
 * Data only: nothing here runs, waits or remembers.
 *
 * Generated from studymatch/rules/protocol.py and studymatch/rules/lifecycle.py. Change those, and then run
 * python -m tools.protocol_reference
 */

/**
 * The state of a person. The values go over the wire.
 * @typedef {"idle" | "searching" | "connecting" | "connected" | "ended"} State
 */

/**
 * Why a state was left, as one person sees it. The values go over the wire. The cause is None for a move that
 * the person asked for and that needs no explanation (a search begins).
 * @typedef {"matched" | "connected" | "skipped" | "partner_skipped" | "ended" | "partner_ended" |
 *   "partner_lost" | "connect_timeout" | "connect_failed" | "cancelled" | "restarting"} Cause
 */

/**
 * What a client does after the server has closed its connection.
 * @typedef {"stop" | "renew" | "soon" | "scattered" | "later"} AfterClose
 */

/**
 * Which actor to resume, and the `seq` of the last frame that arrived from it.
 * @typedef {object} ResumeRequest
 * @property {string} key
 * @property {number} seq
 */

/**
 * Whom to look for. Two people fit when no criterion that both name has different values; case, width, white
 * space, composition and invisible characters make no difference.
 * @typedef {object} Criteria
 * @property {string | null} [subject]
 * @property {string | null} [language]
 */

/**
 * A person, as told to that person.
 * @typedef {object} Identity
 * @property {string} id
 * @property {string} name
 */

/**
 * How to come back after the connection dropped, and for how long that is possible.
 * @typedef {object} ResumeOffer
 * @property {string} key
 * @property {number} grace_ms
 */

/**
 * An entry of RTCConfiguration.iceServers (W3C WebRTC, section 4.2.2).
 * @typedef {object} IceServer
 * @property {string[]} urls
 * @property {string} [username]
 * @property {string} [credential]
 */

/**
 * The partner. `away`: their connection to the server dropped; the call itself may go on.
 * @typedef {object} Partner
 * @property {string} id
 * @property {string} name
 * @property {boolean} away
 */

/**
 * A sound that loops while the state lasts; `volume` from 0 to 1.
 * @typedef {object} Sound
 * @property {string} name
 * @property {number} volume
 */

/**
 * The first frame, within 5 s of the handshake.
 * @typedef {object} Hello
 * @property {"hello"} type
 * @property {number} version
 * @property {string} token
 * @property {ResumeRequest | null} [resume]
 */

/**
 * Look for a partner. → searching
 * @typedef {object} Search
 * @property {"search"} type
 * @property {Criteria} [criteria]
 * @property {number | null} [n]
 */

/**
 * Stop looking. → idle
 * @typedef {object} Cancel
 * @property {"cancel"} type
 * @property {number | null} [n]
 */

/**
 * `data` (any JSON, at most 48 KiB) reaches the partner unread and unchanged.
 * @typedef {object} Signal
 * @property {"signal"} type
 * @property {string} session
 * @property {unknown} data
 * @property {number | null} [n]
 */

/**
 * This side's media flows; when both sides have sent it, both → connected.
 * @typedef {object} Connected
 * @property {"connected"} type
 * @property {string} session
 * @property {number | null} [n]
 */

/**
 * This side cannot connect (no device, ICE failed …): both → ended.
 * @typedef {object} Failed
 * @property {"failed"} type
 * @property {string} session
 * @property {string} [code]
 * @property {number | null} [n]
 */

/**
 * Leave this partner for the next: both → ended, and both search again after 500 ms.
 * @typedef {object} Skip
 * @property {"skip"} type
 * @property {string} session
 * @property {number | null} [n]
 */

/**
 * Leave and stop: both → ended; the one who ended → idle, the other searches again after 500 ms.
 * @typedef {object} End
 * @property {"end"} type
 * @property {string} session
 * @property {number | null} [n]
 */

/**
 * A text for the partner, 1 to 2000 characters.
 * @typedef {object} Chat
 * @property {"chat"} type
 * @property {string} session
 * @property {string} text
 * @property {number | null} [n]
 */

/**
 * Answered by `pong`; a client sends one whenever it was silent for `heartbeat_ms`. It has no number.
 * @typedef {object} Ping
 * @property {"ping"} type
 */

/**
 * The page is being closed or reloaded, and closes its connection next: see *A page that goes*. A later frame
 * on the same connection takes it back. It has no number and no answer.
 * @typedef {object} Leaving
 * @property {"leaving"} type
 */

/**
 * What a client may say.
 * @typedef {Hello | Search | Cancel | Signal | Connected | Failed | Skip | End | Chat | Ping | Leaving}
 *   ClientFrame
 */

/**
 * The answer to `hello`, followed by `state`. `resumed`: the actor is the one asked for. `heard`: the number
 * `n` of the last frame that the server handled, 0 for none. `token`: use it in `hello` from now on; the old
 * one is in the second half of its life, or has expired. `build`: names the page that this server serves now;
 * a page of another build should reload when nothing is lost by it.
 * @typedef {object} Welcome
 * @property {"welcome"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {number} version
 * @property {Identity} user
 * @property {ResumeOffer} resume
 * @property {boolean} resumed
 * @property {IceServer[]} ice_servers
 * @property {number} heartbeat_ms
 * @property {number} heard
 * @property {string} [token]
 * @property {string} [build]
 */

/**
 * The complete state of this person: draw this and remember nothing else.
 * @typedef {object} Snapshot
 * @property {"state"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {State} state one of the five
 * @property {string | null} session the pairing this is about; null in `idle` and `searching`
 * @property {boolean} initiator true for exactly one of the two: it makes the first offer and is the impolite
 *   peer of perfect negotiation
 * @property {Partner | null} partner the other one of `session`; null without one
 * @property {Sound | null} sound the looping sound that belongs to this state, or null
 * @property {string | null} cue a sound to play once, only in the frame that announces the change, or null
 * @property {number} since_ms how long this state has lasted
 * @property {number | null} deadline_ms how long it still may (null: no limit)
 * @property {number | null} search_again_ms in `ended`: how long until the server itself searches again, or
 *   null. 500; more for a person who keeps leaving matches before they become calls, and `message` says so
 * @property {number | null} [search_again_in] deprecated: the same value as `search_again_ms`, under its
 *   former name; gone from version 2 on
 * @property {Cause | null} cause why the last state was left, or null
 * @property {string | null} message one sentence or two of plain English for the person, or null
 */

/**
 * What the partner's browser sent, unchanged.
 * @typedef {object} SignalFrom
 * @property {"signal"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {string} session
 * @property {unknown} data
 */

/**
 * A text from the partner; `from` is their id.
 * @typedef {object} ChatFrom
 * @property {"chat"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {string} session
 * @property {string} from
 * @property {string} text
 */

/**
 * The partner's connection to the server dropped, or came back.
 * @typedef {object} PartnerChanged
 * @property {"partner"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {string} session
 * @property {boolean} away
 */

/**
 * The answer to `ping`. `heard`: the number `n` of the last frame that the server handled, 0 for none.
 * @typedef {object} Pong
 * @property {"pong"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {number} heard
 */

/**
 * How many people are here and how many of them search, the person included. The server sends it outside of a
 * session, unless it sent the same count last on this connection: after a `state`, and otherwise at most
 * every 5 s, to 1000 people a second. People without a connection count for 5 s (`--reload-grace-s`).
 * @typedef {object} Presence
 * @property {"presence"} type
 * @property {number} seq rises by one with each frame sent to this person; every server frame has it but the
 *   refusal of a hello
 * @property {number} online
 * @property {number} searching
 */

/**
 * A frame was refused and changed nothing; `message` is plain English, `about` the frame's type. `n`: the
 * number of the frame, if it had one that could be read.
 * @typedef {object} Error
 * @property {"error"} type
 * @property {number} [seq] rises by one with each frame sent to this person; every server frame has it but
 *   the refusal of a hello
 * @property {string} code
 * @property {string} message
 * @property {string | null} [about]
 * @property {number | null} [n]
 */

/**
 * What the server sends. Each frame also has `seq`, which rises by one with each frame to a person. On
 * resuming, frames that never arrived are sent again under new numbers.
 * @typedef {Welcome | Snapshot | SignalFrom | ChatFrom | PartnerChanged | Pong | Presence | Error}
 *   ServerFrame
 */

/** The version of the protocol. */
export const VERSION = 1;

/** The longest chat text, in code points. */
export const CHAT_MAX_CHARS = 2000;

/** @type {readonly State[]} */
export const STATES = ["idle", "searching", "connecting", "connected", "ended"];

/** Why the server closes a WebSocket, and what the browser does then. */
export const CLOSE_CODES = {
  /** no valid `hello`, or too many malformed frames */
  NO_HELLO: 4400,
  /** the token is invalid, or has expired and `resume` leads to nobody */
  BAD_TOKEN: 4401,
  /** no `hello` in time */
  HELLO_TIMEOUT: 4408,
  /** the same person connected elsewhere; the newest connection wins */
  CONNECTED_ELSEWHERE: 4409,
  /** far beyond the rate limits */
  TOO_MANY: 4429,
  /** the server is restarting */
  RESTARTING: 4503,
  /** a message over 64 KiB */
  TOO_BIG: 1009,
  /** the server failed this one person */
  CRASHED: 1011,
};

/**
 * What the client does then. After any other code the connection was lost: it comes back soon.
 * `stop`: it stops, and says why.
 * `renew`: it gets a new identity.
 * `soon`: it reconnects with backoff.
 * `scattered`: it reconnects with jitter and resumes.
 * `later`: it reconnects later.
 * @type {ReadonlyMap<number, AfterClose>}
 */
export const AFTER_CLOSE = new Map([
  [CLOSE_CODES.NO_HELLO, "stop"],
  [CLOSE_CODES.BAD_TOKEN, "renew"],
  [CLOSE_CODES.HELLO_TIMEOUT, "soon"],
  [CLOSE_CODES.CONNECTED_ELSEWHERE, "stop"],
  [CLOSE_CODES.TOO_MANY, "later"],
  [CLOSE_CODES.RESTARTING, "scattered"],
  [CLOSE_CODES.TOO_BIG, "stop"],
  [CLOSE_CODES.CRASHED, "soon"],
]);
