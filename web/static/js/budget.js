/**
 * Rate limits: a token bucket, and a throttle that uses it.
 * A `Budget` is pure: the caller passes the time. A `Throttle` owns one timer; do not call `ask` after `stop`.
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
    // A timer may fire slightly early, and sums of floats may be slightly below one.
    return this.#left > 0.999 ? 0 : ((1 - this.#left) * 1000) / per_s;
  }
}

/** Calls `act` for each `ask`, within a rate. Calls beyond the rate are combined into one, when the rate allows it. */
export class Throttle {
  #act;
  #budget;
  #environment;
  /** @type {any} */
  #timer = null;

  /**
   * @param {() => void} act
   * @param {Rate} rate
   * @param {{ now: () => number, setTimeout: (callback: () => void, delay_ms: number) => any,
   *   clearTimeout: (timer: any) => void }} environment
   */
  constructor(act, rate, environment) {
    this.#act = act;
    this.#environment = environment;
    this.#budget = new Budget(rate, environment.now());
  }

  ask() {
    if (this.#timer !== null) return;
    const now = this.#environment.now();
    if (this.#budget.take(now)) return this.#act();
    this.#timer = this.#environment.setTimeout(() => {
      this.#timer = null;
      this.ask();
    }, this.#budget.wait_ms(now));
  }

  stop() {
    this.#environment.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
