/**
 * The devices of a page that was reloaded in a call: it comes back without any, and the call goes on with those that open.
 * It owns the present attempt. The devices are those of `media.js`.
 */

/** @typedef {import("./media.js").Problem} Problem */
/** @typedef {import("./media.js").Want} Want */

/**
 * @typedef {object} ReopeningOptions
 * @property {import("./waits.js").Waits} waits
 * @property {{ choice: Want, open: (want: Want) => Promise<Problem | null> }} devices
 * @property {(problem: Problem) => void} onProblem a device does not open; the others are still tried
 */

export class Reopening {
  #options;
  #attempt = new AbortController();

  /** @param {ReopeningOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** Open what the person wants, or what is left of it. Returns when that is open, or is not wanted any more. */
  async begin() {
    const { waits, devices } = this.#options;
    this.stop();
    const { signal } = (this.#attempt = new AbortController());
    try {
      for (let want = /** @type {Want | null} */ (devices.choice); want;) {
        want = this.#less(await waits.within("devices", devices.open(want), signal));
      }
    } catch {
      // The person has left, or does not answer the browser: they can press a button later.
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
