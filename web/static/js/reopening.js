/**
 * Reopens the devices of a page that was reloaded in a call; the call goes on with those that open.
 * It owns the current attempt. The devices are those of `media.js`.
 */

/** @typedef {import("./media.js").Problem} Problem */
/** @typedef {import("./media.js").Want} Want */

/**
 * @typedef {object} ReopeningOptions
 * @property {import("./waits.js").Waits} waits
 * @property {{ choice: Want, open: (want: Want) => Promise<Problem | null> }} devices
 * @property {(problem: Problem) => void} onProblem a device did not open; the others are still tried
 */

export class Reopening {
  #options;
  #attempt = new AbortController();

  /** @param {ReopeningOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Open the wanted devices, or those of them that work. Returns when they are open, or `stop` was called. */
  async begin() {
    const { waits, devices } = this.#options;
    this.stop();
    const { signal } = (this.#attempt = new AbortController());
    try {
      for (let want = /** @type {Want | null} */ (devices.choice); want;) {
        want = this.#less(await waits.within("devices", devices.open(want), signal));
      }
    } catch {
      // The person has left, or has not answered the prompt: they can press a button later.
    }
  }

  /** The person has left the call. */
  stop() {
    this.#attempt.abort();
  }

  /** What to try next; null: nothing. @param {Problem | null} problem */
  #less(problem) {
    if (problem) this.#options.onProblem(problem);
    return problem && problem.fallback;
  }
}
