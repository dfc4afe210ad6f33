/**
 * Signals of the partner that this page has not handled yet.
 *
 * The server passes signals on unread, so a partner can send anything, as fast as the server's limits allow. The inbox
 * drops what is malformed or beyond a limit, and what a later signal replaces. So it never holds more than an offer, an
 * answer, their candidates, one `media` and one `resync`. Pure: it has no timers and no callbacks.
 */

/** @typedef {import("./flow.js").Sending} Sending */

/** An offer with two media lines and every codec has 3 to 10 KB, with its candidates a few more. */
const SDP_MAX_CHARS = 32_768;
/** A call has two media lines, and later pages may add some. Each costs the browser a transceiver that it keeps. */
const LINES_MAX = 8;
/** A machine with many networks has about thirty. For each, the browser sends packets to the address in it. */
export const CANDIDATES_MAX = 100;
/** A candidate has about 200 characters. */
const CANDIDATE_MAX_CHARS = 1_024;
const SHORT_MAX_CHARS = 256;

/**
 * A description (null: the one that was taken last) and the candidates that came after it.
 * @typedef {object} Group
 * @property {RTCSessionDescriptionInit | null} description
 * @property {RTCIceCandidateInit[]} candidates
 * @property {number} room the number of further candidates allowed
 */

export class Inbox {
  /** @type {Group[]} the first is the one whose description was taken last */
  #groups = [{ description: null, candidates: [], room: CANDIDATES_MAX }];
  /** @type {Sending | null} */
  #media = null;
  #resync = false;

  /** @param {any} signal anything */
  put(signal) {
    switch (signal?.kind) {
      case "description":
        return this.#putDescription(readDescription(signal.description));
      case "candidates":
        return this.#putCandidates(signal.candidates);
      case "media":
        this.#media = { audio: signal.audio === true, video: signal.video === true };
        return;
      case "resync":
        this.#resync = true;
        return;
      default:
      // A newer page may send kinds that this one does not know.
    }
  }

  /** @returns {Sending | null} the last `media` that arrived since this was last called */
  takeMedia() {
    const media = this.#media;
    this.#media = null;
    return media;
  }

  /** @returns {boolean} whether the partner has asked for a repetition */
  takeResync() {
    const resync = this.#resync;
    this.#resync = false;
    return resync;
  }

  /** @returns {RTCIceCandidateInit[]} those that belong to the description that was taken last */
  takeCandidates() {
    return this.#groups[0]?.candidates.splice(0) ?? [];
  }

  /** Is a description waiting? */
  get hasDescription() {
    return this.#groups.length > 1;
  }

  /** @returns {RTCSessionDescriptionInit | null} the next description; candidates before it are dropped */
  takeDescription() {
    if (!this.hasDescription) return null;
    this.#groups.shift();
    const group = this.#groups[0];
    const description = group?.description ?? null;
    if (group) group.description = null;
    return description;
  }

  /** Forget everything. */
  clear() {
    this.#groups = [{ description: null, candidates: [], room: 0 }];
    this.#media = null;
    this.#resync = false;
  }

  /** @param {RTCSessionDescriptionInit | null} description */
  #putDescription(description) {
    if (!description) return;
    const same = this.#groups.find((group) => group.description?.type === description.type);
    if (same?.description?.sdp === description.sdp) return;
    const next = { description, candidates: same?.candidates ?? [], room: same?.room ?? CANDIDATES_MAX };
    // A later offer replaces only an offer, and an answer only an answer.
    this.#groups = [...this.#groups.filter((group) => group !== same), next];
  }

  /** @param {unknown} candidates */
  #putCandidates(candidates) {
    const group = this.#groups.at(-1);
    if (!group || !Array.isArray(candidates)) return;
    for (const said of candidates) {
      if (group.room === 0) return;
      const candidate = readCandidate(said);
      if (!candidate) continue;
      group.room -= 1;
      group.candidates.push(candidate);
    }
  }
}

/** @param {any} said @returns {RTCSessionDescriptionInit | null} */
function readDescription(said) {
  const { type, sdp } = said ?? {};
  if ((type !== "offer" && type !== "answer") || !isText(sdp, SDP_MAX_CHARS) || sdp === "") return null;
  const tooMuch = count(sdp, "\nm=") > LINES_MAX || count(sdp, "\na=candidate:") > CANDIDATES_MAX;
  return tooMuch ? null : { type, sdp };
}

/** @param {any} said @returns {RTCIceCandidateInit | null} */
function readCandidate(said) {
  const { candidate, sdpMid = null, sdpMLineIndex = null, usernameFragment = null } = said ?? {};
  const isOne =
    isText(candidate, CANDIDATE_MAX_CHARS) &&
    (sdpMid === null || isText(sdpMid, SHORT_MAX_CHARS)) &&
    (sdpMLineIndex === null || Number.isInteger(sdpMLineIndex)) &&
    (usernameFragment === null || isText(usernameFragment, SHORT_MAX_CHARS));
  return isOne ? { candidate, sdpMid, sdpMLineIndex, usernameFragment } : null;
}

/** @param {unknown} value @param {number} most @returns {value is string} */
function isText(value, most) {
  return typeof value === "string" && value.length <= most;
}

/** @param {string} text @param {string} part */
function count(text, part) {
  return text.split(part).length - 1;
}
