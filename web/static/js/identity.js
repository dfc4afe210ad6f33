/**
 * Who this tab is: a guest with a name and a signed token, one guest for each tab.
 * It owns what is kept in sessionStorage and the lock that tells a duplicated tab from a reloaded one. It knows
 * neither socket nor page.
 */

/** @typedef {{ token: string, id: string, name: string }} Guest */

const KEY = "studymatch.guest";
const UNREACHABLE = "The study hall cannot be reached. Check your connection and try again.";

/** The server will not take this name (or this guest at all); `message` is a sentence for the person. */
export class IdentityError extends Error {}

export class Identity {
  /** @type {Guest | null} */
  #guest;
  /** @type {() => void} */
  #release = () => {};

  constructor() {
    this.#guest = read();
  }

  /** The name that this tab had last; "" if none. */
  get name() {
    return this.#guest?.name ?? "";
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
    if (await this.#hold(this.#guest.id)) return true;
    this.#guest = { ...this.#guest, token: "" };
    return false;
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
    if (refused || !this.#guest.token) await this.become(this.#guest.name);
    return this.#guest.token;
  }

  /**
   * Become a new guest with this name.
   * @param {string} name
   * @throws {IdentityError} with a sentence for the person
   */
  async become(name) {
    const answer = await post({ name });
    this.#guest = { token: answer.token, id: answer.user.id, name: answer.user.name };
    write(this.#guest);
    await this.#hold(this.#guest.id);
  }

  /**
   * Hold the lock of this identity for as long as this tab lives. Pages that are not secure have no locks; there
   * the newest tab wins, as the server decides.
   * @param {string} id
   * @returns {Promise<boolean>} false: another tab is this person
   */
  #hold(id) {
    this.#release();
    const { locks } = navigator;
    if (!locks) return Promise.resolve(true);
    return new Promise((resolve) => {
      locks.request(`studymatch.guest.${id}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && new Promise((release) => (this.#release = () => release(undefined)));
      });
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
    });
    body = await response.json();
  } catch {
    throw new IdentityError(UNREACHABLE);
  }
  if (!response.ok) throw new IdentityError(body.message ?? UNREACHABLE);
  return body;
}

/** @returns {Guest | null} */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  } catch {
    return null; // storage is switched off, or holds something that is not ours
  }
}

/** @param {Guest} guest */
function write(guest) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(guest));
  } catch {
    // Storage is switched off: a reloaded tab will ask for the name again.
  }
}
