/**
 * Who this tab is: a guest with a name and a signed token, one guest for each tab; and where it was before a reload.
 * It owns what is kept in sessionStorage and the lock that tells a duplicated tab from a reloaded one. It knows
 * neither socket nor page.
 */

/** @typedef {{ token: string, id: string, name: string }} Guest */

/** @typedef {import("./signaling.js").Place} Place */

const KEY = "studymatch.guest";
const PLACE_KEY = "studymatch.place";
/** No server keeps the place of a page that was closed longer than this. */
const PLACE_MAX_MS = 60_000;
const UNREACHABLE = "The study hall cannot be reached. Check your connection and try again.";

/** Too many ask, and whoever stands between said so without a sentence of its own. */
const BUSY = "Too many people come in from your network at the moment. Please try again in a minute.";
/** If it is not said for how long to wait. */
const WAIT_MS = 10_000;
/** Nobody waits longer than this without another try. */
const WAIT_MAX_MS = 600_000;
/** A request that is not answered within this will not be. */
const ANSWER_LIMIT_MS = 10_000;
/** Browsers answer at once whether a lock is free. */
const LOCK_LIMIT_MS = 2_000;

/**
 * The server will not take this guest, or does not answer; `message` is a sentence for the person.
 * `wait_ms`: it will not before this long; 0: ask when you like. `isOfName`: another name would do.
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
  /** The id of the guest whose token was asked for last; null while that is under way. @type {string | null} */
  #entered = "";
  /** @type {() => void} */
  #release = () => {};
  /** Until when the server asked not to be asked, and what it said. */
  #rests = { until: 0, message: "" };

  constructor() {
    this.#guest = guestIn(read(KEY));
  }

  /** "" if this tab is nobody yet. */
  get id() {
    return this.#guest?.id ?? "";
  }

  /** The name that this tab had last; "" if none. */
  get name() {
    return this.#guest?.name ?? "";
  }

  /**
   * Does the connection of this tab use its present guest, or will it, and does that guest have this name?
   * @param {string} name
   */
  enters(name) {
    return name === this.name && (this.#entered ?? this.id) === this.id;
  }

  /**
   * Take up the identity that this tab had before it was reloaded.
   *
   * Duplicating a tab copies its sessionStorage, and two tabs are two people: the copy keeps the name and
   * becomes somebody else, instead of throwing the first tab out of its call.
   * @returns {Promise<boolean>} whether there is one
   */
  async restore() {
    if (!this.#guest?.token) return false;
    const guest = this.#guest;
    const held = await this.#hold(guest.id);
    if (this.#guest !== guest) return false; // somebody else meanwhile: the person was faster
    if (!held) this.#guest = { ...guest, token: "" };
    return held;
  }

  /**
   * Keep this for the page that a reload brings. Only a page that goes does so: a tab that is duplicated while it lives
   * has nothing to take along.
   * @param {Place} place
   */
  keepPlace(place) {
    write(PLACE_KEY, { ...place, until: Date.now() + PLACE_MAX_MS });
  }

  /** Where this tab was before it was reloaded, once; null: nowhere, or too long ago. @returns {Place | null} */
  takePlace() {
    const place = read(PLACE_KEY);
    forget(PLACE_KEY);
    const left_ms = Number(place?.until) - Date.now();
    if (!(left_ms > 0 && left_ms <= PLACE_MAX_MS)) return null;
    const { key, seq } = place;
    return typeof key === "string" && Number.isSafeInteger(seq) && seq >= 0 ? { key, seq } : null;
  }

  /**
   * The token to say hello with.
   * @param {boolean} refused the last one was: get a new one, with the same name
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
   * @param {AbortSignal} [signal] once it is aborted, this tab stays the one it is
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
   * Go on with a fresh token, which the server gave with its welcome.
   * @param {string} token
   * @param {{ id: string, name: string }} user whose it is
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
   * Hold the lock of this identity for as long as this tab lives. Pages that are not secure have no locks, and a browser
   * that blocks storage refuses them; there the newest tab wins, as the server decides.
   * @param {string} id
   * @returns {Promise<boolean>} false: another tab is this person
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
      setTimeout(() => resolve(true), LOCK_LIMIT_MS); // the first answer counts
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
    body = await response.json().catch(() => null); // a proxy may say it in its own way
  } catch {
    throw new IdentityError(UNREACHABLE);
  }
  if (response.ok && body) return body;
  const busy = response.status === 429 || response.headers.has("retry-after");
  const message = body?.message ?? (response.status === 429 ? BUSY : UNREACHABLE);
  const wait_ms = busy ? asked_ms(response.headers.get("retry-after")) : 0;
  throw new IdentityError(message, wait_ms, body?.code === "bad_name");
}

/** @param {string | null} retryAfter seconds, or a date, which nobody sends who knows our clock */
function asked_ms(retryAfter) {
  const seconds = retryAfter?.trim().match(/^\d+$/) ? Number(retryAfter) : 0;
  return seconds > 0 ? Math.min(seconds * 1000, WAIT_MAX_MS) : WAIT_MS;
}

/** @param {any} kept @returns {Guest | null} */
function guestIn(kept) {
  const texts = [kept?.token, kept?.id, kept?.name];
  return texts.every((text) => typeof text === "string") ? kept : null;
}

/** @param {string} key @returns {any} null: nothing, or nothing of ours, or storage is switched off */
function read(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** Storage that is switched off or full keeps nothing: a reloaded tab asks for the name again. @param {string} key @param {object} value */
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
    // there is nothing
  }
}
