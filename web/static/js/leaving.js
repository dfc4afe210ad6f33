/**
 * From the press of Cancel or End until the server knows of it.
 *
 * The page is at the entrance at once, whatever the line does, and what the server still tells of the search or the
 * session that is being left is not drawn. It owns the wish to leave, and follows it into a match that came about before
 * the server knew.
 */

/** @typedef {import("./protocol.js").Snapshot} Snapshot */

/**
 * @typedef {object} LeavingOptions
 * @property {import("./waits.js").Waits} waits
 * @property {(frame: import("./protocol.js").ClientFrame, onFate: import("./said.js").OnFate) => void} send in the end
 *   it is heard, or a new actor is idle
 * @property {() => void} onOverdue the server does not answer: forget who this page was
 */

export class Leaving {
  #options;
  /** The newest snapshot, while something is being left. @type {Snapshot | null} */
  #snapshot = null;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {LeavingOptions} options */
  constructor(options) {
    this.#options = options;
  }

  get underway() {
    return this.#snapshot !== null;
  }

  /** Leave what this snapshot tells of. @param {Snapshot} snapshot */
  begin(snapshot) {
    if (this.underway || snapshot.state === "idle") return;
    this.#snapshot = snapshot;
    this.#options.waits.begin("leave", () => {
      this.stop();
      this.#options.onOverdue();
    });
    this.#say();
  }

  /**
   * @param {Snapshot} snapshot a new one
   * @returns {boolean} whether it is about what is being left, and so is not to be drawn
   */
  covers(snapshot) {
    if (!this.#snapshot) return false;
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    if (snapshot.state === "idle") this.stop();
    else if (snapshot.session !== before.session) this.#say(); // a match came about before the server knew
    return this.underway;
  }

  /** Nothing is being left any more. */
  stop() {
    this.#snapshot = null;
    this.#options.waits.end("leave");
    for (const tell of this.#waiting.splice(0)) tell();
  }

  /** Resolved when nothing is being left any more; null: nothing is. @returns {Promise<void> | null} */
  left() {
    return this.underway ? new Promise((resolve) => this.#waiting.push(resolve)) : null;
  }

  #say() {
    const session = this.#snapshot?.session;
    this.#options.send(session ? { type: "end", session } : { type: "cancel" }, (fate) => {
      // The server has never heard of the search: there is nothing to leave.
      if (fate === "refused" && !session && this.#snapshot?.session === null) this.stop();
    });
  }
}
