/** A clock that stands still until a test moves it. */
export class FakeClock {
  #now = 0;
  #next = 1;
  /** @type {Map<number, { at: number, callback: () => void }>} */
  #timers = new Map();

  now = () => this.#now;

  /** @param {() => void} callback @param {number} delay_ms */
  setTimeout = (callback, delay_ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + delay_ms, callback });
    return id;
  };

  /** @param {number} id */
  clearTimeout = (id) => void this.#timers.delete(id);

  /** How many timers are running. */
  get running() {
    return this.#timers.size;
  }

  /** Let this much time pass, in order, with everything that it sets off. @param {number} ms */
  async pass(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, { at, callback }] = due;
      this.#timers.delete(id);
      this.#now = at;
      callback();
      await settle();
    }
    this.#now = end;
  }
}

/** Until every promise that can go on has gone on. */
export async function settle() {
  for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve));
}
