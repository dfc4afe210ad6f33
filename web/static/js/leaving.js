/**
 * Leaves a search or a session, from the press of Cancel or End until the server has handled it.
 *
 * The page shows the entrance at once, even without a connection, and does not draw snapshots of what is being left. If
 * the server makes a match before it handles the leave, this module leaves that match, too.
 */

/** @typedef {import("./protocol.js").Snapshot} Snapshot */

/**
 * @typedef {object} LeavingOptions
 * @property {import("./waits.js").Waits} waits
 * @property {(frame: import("./protocol.js").ClientFrame, onFate: import("./said.js").OnFate) => void} send in the end
 *   the server handles the frame, or has a new, idle actor
 * @property {() => void} onOverdue the server does not answer: connect as a new actor
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

  /** Leave the search or session of this snapshot. @param {Snapshot} snapshot */
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
   * @returns {boolean} whether it belongs to what is being left, so the page must not draw it
   */
  covers(snapshot) {
    if (!this.#snapshot) return false;
    const before = this.#snapshot;
    this.#snapshot = snapshot;
    if (snapshot.state === "idle") this.stop();
    else if (snapshot.session !== before.session) this.#say(); // a match was made before the server handled the leave
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
      // The server has never received the search: there is nothing to leave.
      if (fate === "refused" && !session && this.#snapshot?.session === null) this.stop();
    });
  }
}
