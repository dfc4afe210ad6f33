/**
 * What the page waits for, as data: what, since when, until when, and what the person reads when it was in vain.
 *
 * `WAITS` lists every kind of waiting with its limit, and `Waits` is the only way to wait. What is not in the table
 * cannot be waited for, so no waiting is without an end. It owns the timers of the limits, and no others.
 */

/** @typedef {"guest" | "line" | "leave" | "devices" | "search" | "link" | "mend"} What */

/**
 * @typedef {object} Kind
 * @property {number} limit_ms
 * @property {string} overdue a sentence for the person; "" if it depends on more than the kind (see `words.js`)
 */

/** @type {Readonly<Record<What, Kind>>} */
export const WAITS = {
  // The four steps of a search, and the one that may come between them.
  guest: {
    limit_ms: 12_000,
    overdue: "The study hall does not answer. Check your connection and try again.",
  },
  line: {
    limit_ms: 30_000,
    overdue: "The study hall cannot be reached. Check your connection and try again.",
  },
  leave: {
    limit_ms: 30_000,
    overdue: "",
  },
  // A person reads the browser's question and decides. Some systems never answer a question that was not seen.
  devices: { limit_ms: 60_000, overdue: "" },
  search: {
    limit_ms: 30_000,
    overdue: "The search did not begin. Check your connection and try again.",
  },
  // The page goes on by itself after these two, and says that it takes long.
  link: { limit_ms: 20_000, overdue: "" },
  mend: { limit_ms: 20_000, overdue: "" },
};

/** @typedef {{ what: What, since: number, until: number, overdue: boolean }} Wait on the clock of `now` */

/**
 * What waits need of their surroundings; tests bring their own.
 * @typedef {object} Clock
 * @property {(callback: () => void, delay_ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now milliseconds on a clock that never goes back
 */

/** The limit of a wait has passed. */
export class Overdue extends Error {
  /** @param {What} what */
  constructor(what) {
    super(WAITS[what].overdue);
    this.what = what;
  }
}

/** The person does not want it any more. */
export class Withdrawn extends Error {}

/** @returns {Clock} */
export function browserClock() {
  return {
    setTimeout: (callback, delay_ms) => setTimeout(callback, delay_ms),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => performance.now(),
  };
}

export class Waits {
  #onChange;
  #clock;
  /** @type {Map<What, { wait: Wait, timer: any }>} */
  #running = new Map();
  /** What gives up the present wait for a promise. @type {Map<What, () => void>} */
  #giveUp = new Map();

  /** @param {() => void} onChange a wait began, passed its limit, or is over @param {Clock} [clock] */
  constructor(onChange, clock = browserClock()) {
    this.#onChange = onChange;
    this.#clock = clock;
  }

  /** The wait of this kind that is under way; it may have passed its limit. @param {What} what @returns {Wait | null} */
  get(what) {
    return this.#running.get(what)?.wait ?? null;
  }

  /**
   * Begin to wait. A wait of this kind that is under way goes on as it is.
   * @param {What} what
   * @param {() => void} [onOverdue] called once, when the limit passes before `end`
   */
  begin(what, onOverdue = () => {}) {
    if (this.#running.has(what)) return;
    const since = this.#clock.now();
    const { limit_ms } = WAITS[what];
    const wait = { what, since, until: since + limit_ms, overdue: false };
    const timer = this.#clock.setTimeout(() => {
      wait.overdue = true;
      this.#onChange();
      onOverdue();
    }, limit_ms);
    this.#running.set(what, { wait, timer });
    this.#onChange();
  }

  /** It has come, or is not wanted any more. @param {What} what */
  end(what) {
    const running = this.#running.get(what);
    if (!running) return;
    this.#clock.clearTimeout(running.timer);
    this.#running.delete(what);
    this.#onChange();
  }

  /**
   * Wait for a promise. It takes the place of another that is waited for as the same kind.
   * @template T
   * @param {What} what
   * @param {Promise<T>} promise
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   * @throws {Overdue} its limit has passed
   * @throws {Withdrawn} `signal` was aborted, or another promise took its place
   */
  async within(what, promise, signal) {
    const { promise: ended, reject } = withReject();
    const withdraw = () => {
      this.#done(what); // at once, so that the next wait of this kind can begin
      reject(new Withdrawn());
    };
    promise.catch(() => {}); // it may fail when nobody waits for it any more
    if (signal.aborted) throw new Withdrawn();
    this.#giveUp.get(what)?.();
    this.#giveUp.set(what, withdraw);
    signal.addEventListener("abort", withdraw, { once: true });
    this.begin(what, () => reject(new Overdue(what)));
    try {
      return await Promise.race([promise, ended]);
    } finally {
      signal.removeEventListener("abort", withdraw);
      if (this.#giveUp.get(what) === withdraw) this.#done(what);
    }
  }

  /** @param {What} what */
  #done(what) {
    this.#giveUp.delete(what);
    this.end(what);
  }
}

/** @returns {{ promise: Promise<never>, reject: (error: Error) => void }} */
function withReject() {
  /** @type {(error: Error) => void} */
  let reject = () => {};
  /** @type {Promise<never>} */
  const promise = new Promise((_, fail) => (reject = fail));
  return { promise, reject };
}
