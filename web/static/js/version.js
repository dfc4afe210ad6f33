/**
 * Whether the server serves a newer page than this one, and when this one is loaded again: when nothing is lost by it.
 *
 * It owns what is kept in sessionStorage about that: for which builds this tab was loaded again. It never is twice for the
 * same build, so two servers with different builds behind one address cannot make it load for ever. It knows no page.
 */

const KEY = "studymatch.builds";
/** So often it is looked whether the moment has come; the first time, `state` has followed `welcome`. */
const LOOK_MS = 1_000;

export const LATER = "A new version is here; this page reloads after your session.";
/** Said where this tab may keep nothing, so that it could load again and again. */
export const YOURSELF = "A new version is here. Please reload this page when it suits you.";

/**
 * What a page shows and what is written on it.
 * @typedef {object} Look
 * @property {{ state: string }} snapshot
 * @property {{ status: string }} link
 * @property {string | null} step of an attempt to search
 * @property {unknown} problem
 * @property {string} name the one that is known
 * @property {string} typed the one in the field
 * @property {string} draft a text that is not sent
 * @property {string} notice what passes by itself and may not have been read
 */

/**
 * What would be lost if the page were loaded again now; only a `notice` goes by itself.
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

  /** The server serves this build now. @param {string | undefined} build undefined: it does not say */
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

  /** @returns {boolean} whether it is kept that this tab is loaded again for this build */
  #remember() {
    try {
      this.#storage().setItem(KEY, JSON.stringify([...this.#loaded(), this.#newer]));
      return true;
    } catch {
      return false;
    }
  }
}
