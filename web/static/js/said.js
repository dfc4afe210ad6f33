/**
 * What this page said, until it is known what became of it.
 *
 * Each frame gets a number when it is first written, and is kept until the server says that it has heard it. On a new
 * line the page says again what was not heard, under the same numbers, and the server ignores what it has heard already:
 * so each frame is heard once, however often the line drops. What can no longer be said is told to who said it.
 *
 * It owns the numbers and the order. Pure: it neither writes nor waits.
 */

/** @typedef {import("./protocol.js").ClientFrame} ClientFrame */
/** @typedef {import("./protocol.js").Snapshot} Snapshot */

/**
 * What became of a frame: it `waits` for the line, was `heard`, was heard and `refused`, is `lost` for good, or is
 * `unsure`: it was said while the session ended, and may or may not have come in time.
 * @typedef {"waits" | "heard" | "refused" | "lost" | "unsure"} Fate
 */

/** @typedef {(fate: Fate) => void} OnFate */

/** @typedef {{ frame: ClientFrame, n: number | null, onFate: OnFate }} Entry `n`: null until it is first written */

/** An encounter needs a few dozen frames; a person who writes while the line is down, a few dozen more. */
export const KEPT_MAX = 200;

/** Pressing them twice while they wait means it once. So they are few, and there is always room for them. */
const DECISIONS = new Set(["search", "cancel", "connected", "failed", "skip", "end"]);

/** The causes by which a session ends when the server has heard this page say so. */
const OWN_CAUSES = new Set(["skipped", "ended", "cancelled"]);

export class Said {
  /** @type {Entry[]} in order; those with a number come first */
  #kept = [];
  /** How many of them were written on this line. */
  #written = 0;
  #last = 0;
  /** Does the server count what it hears? */
  #counts = false;

  /** How many frames were written on this line and are not known to be heard. */
  get unheard() {
    return this.#counts ? this.#written : 0;
  }

  /** Is anything still to be written on this line? */
  get waits() {
    return this.#written < this.#kept.length;
  }

  /** @param {ClientFrame} frame @param {OnFate} onFate @returns {void} */
  add(frame, onFate) {
    if (DECISIONS.has(frame.type)) {
      const waiting = this.#kept.slice(this.#written); // what was written may have been refused by now
      const last = waiting.findLast(({ frame: { type } }) => DECISIONS.has(type))?.frame;
      if (last?.type === frame.type && sessionOf(last) === sessionOf(frame)) return;
    } else if (this.#kept.length >= KEPT_MAX && !this.#makeRoom()) {
      return onFate("lost");
    }
    this.#kept.push({ frame, n: null, onFate });
  }

  /** Take back the searches that were never written. @returns {boolean} false: one of them may have been heard */
  takeBackSearch() {
    const searches = this.#kept.filter(({ frame: { type } }) => type === "search");
    this.#let(
      searches.filter(({ n }) => n === null),
      "lost",
    );
    return searches.length > 0 && searches.every(({ n }) => n === null);
  }

  /** The next frame to write on this line, with its number if the server counts. @returns {object | null} */
  next() {
    const entry = this.#kept[this.#written];
    if (!entry) return null;
    if (!this.#counts) {
      this.#let([entry], "heard"); // nobody will ever know better
      return entry.frame;
    }
    this.#written += 1;
    entry.n ??= ++this.#last;
    return { ...entry.frame, n: entry.n };
  }

  /** The line is down. */
  down() {
    this.#written = 0;
    for (const { onFate } of [...this.#kept]) onFate("waits");
  }

  /**
   * A new line is up.
   * @param {boolean} resumed the server knows who said it
   * @param {number | undefined} heard up to which number it has heard them; undefined: it does not count
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

  /** The server has heard everything up to this number. @param {number} number */
  heard(number) {
    this.#let(
      this.#kept.filter(({ n }) => n !== null && n <= number),
      "heard",
    );
  }

  /** The server has heard the frame with this number, and it changed nothing. @param {number} number */
  refused(number) {
    this.#let(
      this.#kept.filter(({ n }) => n === number),
      "refused",
    );
  }

  /**
   * This is how it is now: what belongs to a session that is over can no longer be said.
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

  /** Forget everything: nothing of it will be said. */
  clear() {
    this.#last = 0;
    this.#let(this.#kept, "lost");
  }

  /** The server knows nothing of what was said: only a wish that it has never heard can still be meant. */
  #startAfresh() {
    const wish = this.#kept.findLast(({ frame: { type } }) => type === "search" || type === "cancel");
    const meant = wish?.n === null && wish.frame.type === "search" ? wish : null;
    this.#let(
      this.#kept.filter((entry) => entry !== meant),
      "lost",
    );
  }

  /** Let go of the oldest signal that was never written: a call can say its signals again, but not its words. */
  #makeRoom() {
    const oldest = this.#kept.find(({ frame, n }) => frame.type === "signal" && n === null);
    if (oldest) this.#let([oldest], "lost");
    return oldest !== undefined;
  }

  /** Keep these no longer, and tell who said them. @param {Entry[]} entries @param {Fate} fate */
  #let(entries, fate) {
    const gone = new Set(entries);
    this.#written -= this.#kept.slice(0, this.#written).filter((entry) => gone.has(entry)).length;
    this.#kept = this.#kept.filter((entry) => !gone.has(entry));
    // Only now: who is told may say something at once.
    for (const { onFate } of gone) onFate(fate);
  }
}

/** @param {ClientFrame} frame */
function sessionOf(frame) {
  return "session" in frame ? frame.session : null;
}
