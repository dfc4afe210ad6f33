/**
 * Reloads the page if the server serves another build, as soon as nothing is lost by it.
 *
 * It owns the list in sessionStorage of the builds for which this tab was reloaded. A tab reloads only once for a build,
 * so two servers with different builds behind one address cannot cause endless reloads. It does not depend on the page.
 */

const KEY = "studymatch.builds";
/** The interval of the checks; long enough that `state` has followed `welcome` before the first one. */
const LOOK_MS = 1_000;

export const LATER = "A new version is here; this page reloads after your session.";
/** For a tab whose storage is blocked, which could reload endlessly. */
export const YOURSELF = "A new version is here. Please reload this page when it suits you.";

/**
 * What the page shows, and the texts in its fields.
 * @typedef {object} Look
 * @property {{ state: string }} snapshot
 * @property {{ status: string }} link
 * @property {string | null} step of an attempt to search
 * @property {unknown} problem
 * @property {string} name the name of the guest
 * @property {string} typed the name in the field
 * @property {string} draft the unsent chat text
 * @property {string} notice a passing notice that may not have been read
 */

/**
 * What a reload would lose now; null: nothing. A `notice` disappears by itself.
 * @param {Look} look
 * @returns {"session" | "notice" | null}
 */
export function lossOf({ snapshot, link, step, problem, name, typed, draft, notice }) {
  const isAtRest = snapshot.state === "idle" && link.status === "open" && step === null && !problem;
  if (!isAtRest || draft !== "" || (typed !== "" && typed !== name)) return "session";
  return notice === "" ? null : "notice";
}

export class Version {
  #own;
  #look;
  #say;
  #reload;
  #storage;
  #clock;
  /** The build to load. @type {string | null} */
  #newer = null;
  #timer = 0;
  #isTold = false;

  /**
   * @param {object} options
   * @param {string | undefined} options.own the build of this page
   * @param {() => Look} options.look
   * @param {(text: string) => void} options.say
   * @param {() => void} [options.reload]
   * @param {() => Pick<Storage, "getItem" | "setItem">} [options.storage] may throw where it is blocked
   * @param {{ setTimeout: (callback: () => void, delay_ms: number) => number, clearTimeout: (id: number) => void }} [options.clock]
   */
  constructor({
    own,
    look,
    say,
    reload = () => location.reload(),
    storage = () => sessionStorage,
    clock = globalThis,
  }) {
    this.#own = own;
    this.#look = look;
    this.#say = say;
    this.#reload = reload;
    this.#storage = storage;
    this.#clock = clock;
  }

  /** The server serves this build now. @param {string | undefined} build undefined: unknown */
  hear(build) {
    this.#clock.clearTimeout(this.#timer);
    this.#newer = build && build !== this.#own && !this.#loaded().includes(build) ? build : null;
    if (this.#newer) this.#lookLater();
  }

  #lookLater() {
    this.#timer = this.#clock.setTimeout(() => this.#lookNow(), LOOK_MS);
  }

  #lookNow() {
    const loss = lossOf(this.#look());
    if (loss === null) return this.#load();
    if (loss === "session" && !this.#isTold) {
      this.#isTold = true;
      this.#say(LATER);
    }
    this.#lookLater();
  }

  #load() {
    if (this.#remember()) this.#reload();
    else this.#say(YOURSELF);
  }

  /** @returns {(string | null)[]} */
  #loaded() {
    try {
      return JSON.parse(this.#storage().getItem(KEY) ?? "[]");
    } catch {
      return []; // blocked
    }
  }

  /** @returns {boolean} whether the build was added to the list in sessionStorage */
  #remember() {
    try {
      this.#storage().setItem(KEY, JSON.stringify([...this.#loaded(), this.#newer]));
      return true;
    } catch {
      return false;
    }
  }
}
