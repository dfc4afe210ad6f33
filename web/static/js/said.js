/**
 * Frames of this page that the server has not acknowledged yet.
 *
 * Each frame gets a number when it is first sent, and is kept until the server acknowledges it. On a new connection the
 * page sends the others again, with the same numbers, and the server ignores those that it has handled: so it handles
 * each frame once, however often the connection drops. The sender of a frame is told when it can no longer be sent.
 *
 * It owns the numbers and the order. Pure: it neither sends nor waits.
 */

/** @typedef {import("./protocol.js").ClientFrame} ClientFrame */
/** @typedef {import("./protocol.js").Snapshot} Snapshot */

/**
 * The fate of a frame: it `waits` for the connection, was acknowledged (`heard`), was `refused`, is `lost` for good, or
 * is `unsure`: it was sent while the session ended, and may or may not have arrived in time.
 * @typedef {"waits" | "heard" | "refused" | "lost" | "unsure"} Fate
 */

/** @typedef {(fate: Fate) => void} OnFate */

/** @typedef {{ frame: ClientFrame, n: number | null, onFate: OnFate }} Entry `n`: null until it is first sent */

/** A session needs a few dozen frames; a person who writes while the connection is down, a few dozen more. */
export const KEPT_MAX = 200;

/** A repetition of such a frame while it waits is dropped. So they are few, and never dropped for lack of room. */
const DECISIONS = new Set(["search", "cancel", "connected", "failed", "skip", "end"]);

/** The causes with which a session ends because the server has handled a frame of this page. */
const OWN_CAUSES = new Set(["skipped", "ended", "cancelled"]);

export class Said {
  /** @type {Entry[]} in order; those with a number come first */
  #kept = [];
  /** How many of them were sent on this connection. */
  #written = 0;
  #last = 0;
  /** Does the server acknowledge frames by number? */
  #counts = false;

  /** How many frames were sent on this connection and are not acknowledged. */
  get unheard() {
    return this.#counts ? this.#written : 0;
  }

  /** Are there frames to send on this connection? */
  get waits() {
    return this.#written < this.#kept.length;
  }

  /** @param {ClientFrame} frame @param {OnFate} onFate @returns {void} */
  add(frame, onFate) {
    if (DECISIONS.has(frame.type)) {
      const waiting = this.#kept.slice(this.#written); // one that was sent may have been refused by now
      const last = waiting.findLast(({ frame: { type } }) => DECISIONS.has(type))?.frame;
      if (last?.type === frame.type && sessionOf(last) === sessionOf(frame)) return;
    } else if (this.#kept.length >= KEPT_MAX && !this.#makeRoom()) {
      return onFate("lost");
    }
    this.#kept.push({ frame, n: null, onFate });
  }

  /** Remove the searches that were never sent. @returns {boolean} false: there is none, or one may have arrived */
  takeBackSearch() {
    const searches = this.#kept.filter(({ frame: { type } }) => type === "search");
    this.#let(
      searches.filter(({ n }) => n === null),
      "lost",
    );
    return searches.length > 0 && searches.every(({ n }) => n === null);
  }

  /** The next frame to send on this connection, with its number if the server acknowledges numbers. @returns {object | null} */
  next() {
    const entry = this.#kept[this.#written];
    if (!entry) return null;
    if (!this.#counts) {
      this.#let([entry], "heard"); // this server never acknowledges it
      return entry.frame;
    }
    this.#written += 1;
    entry.n ??= ++this.#last;
    return { ...entry.frame, n: entry.n };
  }

  /** The connection has dropped. */
  down() {
    this.#written = 0;
    for (const { onFate } of [...this.#kept]) onFate("waits");
  }

  /**
   * A new connection is welcomed.
   * @param {boolean} resumed the server has resumed the same actor
   * @param {number | undefined} heard the last number that it has handled; undefined: it does not use numbers
   */
  up(resumed, heard) {
    this.#written = 0;
    this.#counts = heard !== undefined;
    if (resumed && heard !== undefined) {
      this.#last = Math.max(this.#last, heard);
      this.heard(heard);
      return;
    }
    this.#last = 0;
    const numbered = this.#kept.filter(({ n }) => n !== null);
    if (resumed) this.#let(numbered, "heard");
    else this.#startAfresh();
  }

  /** The server has handled all frames up to this number. @param {number} number */
  heard(number) {
    this.#let(
      this.#kept.filter(({ n }) => n !== null && n <= number),
      "heard",
    );
  }

  /** The server has refused the frame with this number. @param {number} number */
  refused(number) {
    this.#let(
      this.#kept.filter(({ n }) => n === number),
      "refused",
    );
  }

  /**
   * A new snapshot: frames for a session that is over can no longer be sent.
   * @param {Snapshot} snapshot
   */
  at({ state, session, cause }) {
    const over = this.#kept.filter(({ frame }) => {
      const about = sessionOf(frame);
      return about !== null && (about !== session || (state === "ended" && frame.type !== "end"));
    });
    const written = new Set(this.#kept.slice(0, this.#written));
    const inTime = OWN_CAUSES.has(cause ?? "");
    this.#let(
      over.filter((entry) => written.has(entry)),
      inTime ? "heard" : "unsure",
    );
    this.#let(
      over.filter((entry) => !written.has(entry)),
      "lost",
    );
  }

  /** Drop all frames as lost. */
  clear() {
    this.#last = 0;
    this.#let(this.#kept, "lost");
  }

  /** The server has a new actor: drop all frames, except a last search that was never sent. */
  #startAfresh() {
    const wish = this.#kept.findLast(({ frame: { type } }) => type === "search" || type === "cancel");
    const meant = wish?.n === null && wish.frame.type === "search" ? wish : null;
    this.#let(
      this.#kept.filter((entry) => entry !== meant),
      "lost",
    );
  }

  /** Drop the oldest signal that was never sent: a call can repeat its signals, but not its texts. */
  #makeRoom() {
    const oldest = this.#kept.find(({ frame, n }) => frame.type === "signal" && n === null);
    if (oldest) this.#let([oldest], "lost");
    return oldest !== undefined;
  }

  /** Remove these frames, and report their fate. @param {Entry[]} entries @param {Fate} fate */
  #let(entries, fate) {
    const gone = new Set(entries);
    this.#written -= this.#kept.slice(0, this.#written).filter((entry) => gone.has(entry)).length;
    this.#kept = this.#kept.filter((entry) => !gone.has(entry));
    // Last, because a callback may add a frame at once.
    for (const { onFate } of gone) onFate(fate);
  }
}

/** @param {ClientFrame} frame */
function sessionOf(frame) {
  return "session" in frame ? frame.session : null;
}
