/**
 * The identity of this tab: a guest with a name and a signed token, one per tab; and the actor to resume after a reload.
 * It owns their entries in sessionStorage, and the lock that distinguishes a duplicated tab from a reloaded one. It
 * depends on neither the socket nor the page.
 */

/** @typedef {{ token: string, id: string, name: string }} Guest */

/** @typedef {import("./signaling.js").Place} Place */

const KEY = "studymatch.guest";
const PLACE_KEY = "studymatch.place";
/** No server keeps the actor of a closed page longer than this. */
const PLACE_MAX_MS = 60_000;
const UNREACHABLE = "The study hall cannot be reached. Check your connection and try again.";

/** For a 429 response without a sentence, for example from a proxy. */
const BUSY = "Too many people come in from your network at the moment. Please try again in a minute.";
/** The wait if the response has no Retry-After. */
const WAIT_MS = 10_000;
/** The longest wait before another try. */
const WAIT_MAX_MS = 600_000;
/** The time limit of a request. */
const ANSWER_LIMIT_MS = 10_000;
/** The time limit for a lock. Browsers answer at once whether it is free. */
const LOCK_LIMIT_MS = 2_000;

/**
 * The server refuses this guest, or does not answer; `message` is a sentence for the person.
 * `wait_ms`: the time before the next request; 0: any time. `isOfName`: the name is the reason.
 */
export class IdentityError extends Error {
  /** @param {string} message @param {number} [wait_ms] @param {boolean} [isOfName] */
  constructor(message, wait_ms = 0, isOfName = false) {
    super(message);
    this.wait_ms = wait_ms;
    this.isOfName = isOfName;
  }
}

export class Identity {
  /** @type {Guest | null} */
  #guest;
  /** The id of the guest whose token `token` returned last; null during the call. @type {string | null} */
  #entered = "";
  /** @type {() => void} */
  #release = () => {};
  /** Until when the server wants no request, and its message. */
  #rests = { until: 0, message: "" };

  constructor() {
    this.#guest = guestIn(read(KEY));
  }

  /** The name of the guest; "" if this tab has none yet. */
  get id() {
    return this.#guest?.id ?? "";
  }

  /** The name that this tab had last; "" if none. */
  get name() {
    return this.#guest?.name ?? "";
  }

  /**
   * Does the connection of this tab use its current guest, or will it, and does that guest have this name?
   * @param {string} name
   */
  enters(name) {
    return name === this.name && (this.#entered ?? this.id) === this.id;
  }

  /**
   * Restore the identity that this tab had before it was reloaded.
   *
   * Duplicating a tab copies its sessionStorage, and two tabs are two guests: the copy keeps the name and becomes a new
   * guest, since otherwise it would take over the call of the first tab.
   * @returns {Promise<boolean>} whether there was one
   */
  async restore() {
    if (!this.#guest?.token) return false;
    const guest = this.#guest;
    const held = await this.#hold(guest.id);
    if (this.#guest !== guest) return false; // the person has entered a name in the meantime
    if (!held) this.#guest = { ...guest, token: "" };
    return held;
  }

  /**
   * Keep the place for the reloaded page. Called only when the page is closed or reloaded, so the copy of a duplicated
   * tab has none.
   * @param {Place} place
   */
  keepPlace(place) {
    write(PLACE_KEY, { ...place, until: Date.now() + PLACE_MAX_MS });
  }

  /** Return and remove the place from before a reload; null: none, or too old. @returns {Place | null} */
  takePlace() {
    const place = read(PLACE_KEY);
    forget(PLACE_KEY);
    const left_ms = Number(place?.until) - Date.now();
    if (!(left_ms > 0 && left_ms <= PLACE_MAX_MS)) return null;
    const { key, seq } = place;
    return typeof key === "string" && Number.isSafeInteger(seq) && seq >= 0 ? { key, seq } : null;
  }

  /**
   * The token for `hello`.
   * @param {boolean} refused the server refused the last one: get a new guest with the same name
   * @returns {Promise<string>}
   */
  async token(refused) {
    if (!this.#guest) {
      throw new Error("expected a guest with a name before a token is asked for; there is none");
    }
    this.#entered = null;
    if (refused || !this.#guest.token) await this.become(this.#guest.name);
    this.#entered = this.#guest.id;
    return this.#guest.token;
  }

  /**
   * Become a new guest with this name.
   * @param {string} name
   * @param {AbortSignal} [signal] once it is aborted, this tab keeps its guest
   * @throws {IdentityError} with a sentence for the person
   */
  async become(name, signal) {
    const { until, message } = this.#rests;
    const wait_ms = until - performance.now();
    if (wait_ms > 0) throw new IdentityError(message, wait_ms);
    try {
      const { token, user } = await post({ name });
      if (signal?.aborted) return;
      await this.#be({ token, id: user.id, name: user.name });
    } catch (error) {
      if (error instanceof IdentityError && error.wait_ms > 0) {
        this.#rests = { until: performance.now() + error.wait_ms, message: error.message };
      }
      throw error;
    }
  }

  /**
   * Keep the new token that the server sent in `welcome`.
   * @param {string} token
   * @param {{ id: string, name: string }} user its guest
   */
  async renew(token, user) {
    this.#entered = user.id;
    await this.#be({ token, id: user.id, name: user.name });
  }

  /** @param {Guest} guest */
  async #be(guest) {
    const another = guest.id !== this.#guest?.id || !this.#guest.token;
    this.#guest = guest;
    write(KEY, guest);
    if (another) await this.#hold(guest.id);
  }

  /**
   * Hold the lock of this identity as long as this tab is open. Insecure pages have no locks, and a browser that blocks
   * storage refuses them; there the newest tab wins, as the server decides.
   * @param {string} id
   * @returns {Promise<boolean>} false: another tab holds it
   */
  #hold(id) {
    this.#release();
    const { locks } = navigator;
    if (!locks) return Promise.resolve(true);
    return new Promise((resolve) => {
      const request = async () =>
        locks.request(`studymatch.guest.${id}`, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          return lock && new Promise((release) => (this.#release = () => release(undefined)));
        });
      request().catch(() => resolve(true));
      setTimeout(() => resolve(true), LOCK_LIMIT_MS); // only the first `resolve` counts
    });
  }
}

/**
 * @param {{ name: string }} wish
 * @returns {Promise<{ token: string, user: { id: string, name: string } }>}
 */
async function post(wish) {
  let response;
  let body;
  try {
    response = await fetch("/api/guest", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wish),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    body = await response.json().catch(() => null); // a proxy may send something else than JSON
  } catch {
    throw new IdentityError(UNREACHABLE);
  }
  if (response.ok && body) return body;
  const busy = response.status === 429 || response.headers.has("retry-after");
  const message = body?.message ?? (response.status === 429 ? BUSY : UNREACHABLE);
  const wait_ms = busy ? asked_ms(response.headers.get("retry-after")) : 0;
  throw new IdentityError(message, wait_ms, body?.code === "bad_name");
}

/** @param {string | null} retryAfter seconds; a date is ignored, since our clock may be wrong */
function asked_ms(retryAfter) {
  const seconds = retryAfter?.trim().match(/^\d+$/) ? Number(retryAfter) : 0;
  return seconds > 0 ? Math.min(seconds * 1000, WAIT_MAX_MS) : WAIT_MS;
}

/** @param {any} kept @returns {Guest | null} */
function guestIn(kept) {
  const texts = [kept?.token, kept?.id, kept?.name];
  return texts.every((text) => typeof text === "string") ? kept : null;
}

/** @param {string} key @returns {any} null: no entry, an invalid one, or storage is blocked */
function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** If storage is blocked or full, nothing is kept: a reloaded tab asks for the name again. @param {string} key @param {object} value */
function write(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // nothing is kept
  }
}

/** @param {string} key */
function forget(key) {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // blocked: nothing was kept
  }
}
