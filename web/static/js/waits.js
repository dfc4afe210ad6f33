/**
 * The waits of the page as data: for what, since when, until when, and the sentence for the person when the limit passes.
 *
 * `WAITS` lists every kind of wait with its time limit. The page waits only with `Waits`, so every wait has a limit. It
 * owns the timers of the limits, and no others.
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
  // The person reads the browser's prompt and decides. Some systems never answer a prompt that was not visible.
  devices: { limit_ms: 60_000, overdue: "" },
  search: {
    limit_ms: 30_000,
    overdue: "The search did not begin. Check your connection and try again.",
  },
  // When these two pass, the page keeps waiting, and tells the person that it takes long.
  link: { limit_ms: 20_000, overdue: "" },
  mend: { limit_ms: 20_000, overdue: "" },
};

/** @typedef {{ what: What, since: number, until: number, overdue: boolean }} Wait on the clock of `now` */

/**
 * The browser functions that waits use; tests replace them.
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

/** The wait was cancelled, or replaced by another of its kind. */
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
  /** Cancels the current wait for a promise. @type {Map<What, () => void>} */
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
   * Begin to wait. If a wait of this kind is under way, nothing changes.
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

  /** End the wait: it is fulfilled, or not wanted any more. @param {What} what */
  end(what) {
    const running = this.#running.get(what);
    if (!running) return;
    this.#clock.clearTimeout(running.timer);
    this.#running.delete(what);
    this.#onChange();
  }

  /**
   * Wait for a promise. This cancels another wait of the same kind.
   * @template T
   * @param {What} what
   * @param {Promise<T>} promise
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   * @throws {Overdue} its limit has passed
   * @throws {Withdrawn} `signal` was aborted, or a new wait of this kind replaced it
   */
  async within(what, promise, signal) {
    const { promise: ended, reject } = withReject();
    const withdraw = () => {
      this.#done(what); // at once, so that the next wait of this kind can begin
      reject(new Withdrawn());
    };
    promise.catch(() => {}); // it may reject after the wait is over
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
