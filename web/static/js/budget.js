/**
 * How often something may be done: a token bucket, and what waits for it.
 * A `Budget` is pure: the time is handed in. A `Throttle` owns one timer, and nothing may be asked of it after `stop`.
 */

/** @typedef {{ per_s: number, burst: number }} Rate `burst` at once, `per_s` in the long run */

export class Budget {
  #rate;
  #left;
  #at;

  /** @param {Rate} rate @param {number} now milliseconds */
  constructor(rate, now) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#at = now;
  }

  /** @param {number} now @returns {boolean} whether one more may be done; if so, it is counted */
  take(now) {
    if (this.wait_ms(now) > 0) return false;
    this.#left -= 1;
    return true;
  }

  /** @param {number} now @returns {number} milliseconds until one more may be done */
  wait_ms(now) {
    const { per_s, burst } = this.#rate;
    this.#left = Math.min(burst, this.#left + ((now - this.#at) * per_s) / 1000);
    this.#at = now;
    // A timer may end a fraction early, and fractions add up to less than one.
    return this.#left > 0.999 ? 0 : ((1 - this.#left) * 1000) / per_s;
  }
}

/** Does one thing whenever it is asked to, within a rate. What is asked beyond it is done once, when there is room. */
export class Throttle {
  #act;
  #budget;
  #world;
  /** @type {any} */
  #timer = null;

  /**
   * @param {() => void} act
   * @param {Rate} rate
   * @param {{ now: () => number, setTimeout: (callback: () => void, delay_ms: number) => any,
   *   clearTimeout: (timer: any) => void }} world
   */
  constructor(act, rate, world) {
    this.#act = act;
    this.#world = world;
    this.#budget = new Budget(rate, world.now());
  }

  ask() {
    if (this.#timer !== null) return;
    const now = this.#world.now();
    if (this.#budget.take(now)) return this.#act();
    this.#timer = this.#world.setTimeout(() => {
      this.#timer = null;
      this.ask();
    }, this.#budget.wait_ms(now));
  }

  stop() {
    this.#world.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
