/**
 * From the press of Find Partner to the search: a name, a line to the server, the devices, then the question.
 *
 * The steps follow one another, each is a wait of `waits.js`, and all of them can be withdrawn. Devices open only when
 * the server is there to find somebody, and a partner never sits before somebody who is still being asked for a camera.
 * It owns the present attempt. It draws nothing: what came of the attempt is its result.
 */

import { IdentityError } from "./identity.js";
import { describe } from "./problems.js";
import { Overdue, WAITS, Withdrawn } from "./waits.js";

/** @typedef {import("./media.js").Want} Want */
/** @typedef {import("./media.js").Problem} Problem */
/** @typedef {import("./waits.js").What} What */

/**
 * What came of an attempt: the server searches, it was withdrawn, the name or the whole attempt is refused with a
 * sentence (which may be empty if it has been told already), or something here stands in the way.
 * @typedef {{ kind: "searching" | "withdrawn" }
 *   | { kind: "name" | "refused", message: string }
 *   | { kind: "problem", problem: Problem }} Outcome
 */

/**
 * What an attempt needs. Each promise may take for ever.
 * @typedef {object} Means
 * @property {import("./waits.js").Waits} waits
 * @property {(name: string) => boolean} isIn is there a line under this name, or will there be one?
 * @property {(name: string, signal: AbortSignal) => Promise<void>} comeIn get an identity for this name, and begin to
 *   connect; nothing comes of it any more once `signal` is aborted
 * @property {() => Promise<void>} lineIsUp
 * @property {() => Promise<void> | null} left null: nothing is being left
 * @property {() => Problem | null} cannotCall what keeps this browser from calls
 * @property {(want: Want) => Promise<Problem | null>} openDevices
 * @property {() => void} closeDevices
 * @property {(onFate: import("./said.js").OnFate) => void} ask say `search` to the server
 * @property {() => void} takeBack the search that may have been said
 * @property {(error: unknown) => void} report something failed that nobody foresaw
 */

/** The steps, in order, for those who draw them. @type {readonly What[]} */
export const STEPS = ["guest", "line", "leave", "devices", "search"];

/** How often a search is said again to a server that has never heard of it. */
const ASKS_MAX = 3;

/** For what nobody foresaw, so that no press of the button is without an answer. */
const UNFORESEEN = "Something went wrong in this page. Try again, or reload it.";

/** The server refuses to search; without a message, it has said why. */
class Refused extends Error {}

export class Finding {
  #means;
  /** @type {AbortController | null} */
  #attempt = null;
  /** @type {{ resolve: (value: void) => void, reject: (error: Error) => void } | null} */
  #asked = null;

  /** @param {Means} means */
  constructor(means) {
    this.#means = means;
  }

  get underway() {
    return this.#attempt !== null;
  }

  /**
   * @param {string} name
   * @param {Want} want
   * @returns {Promise<Outcome>} `withdrawn` at once if an attempt is under way
   */
  async begin(name, want) {
    if (this.#attempt) return { kind: "withdrawn" };
    const attempt = (this.#attempt = new AbortController());
    try {
      return await this.#go(name, want, attempt.signal);
    } catch (error) {
      return this.#failed(error, want);
    } finally {
      attempt.abort(); // what comes of it later, comes too late
      if (this.#attempt === attempt) this.#attempt = null;
    }
  }

  /** The person does not want to search any more. */
  withdraw() {
    const attempt = this.#attempt;
    this.#attempt = null;
    if (this.#asked) this.#means.takeBack();
    this.#asked = null;
    attempt?.abort();
  }

  /** The server has begun to search. */
  begun() {
    this.#asked?.resolve();
  }

  /** The server will not search, and has said why. */
  refused() {
    this.#asked?.reject(new Refused(""));
  }

  /**
   * @param {string} name
   * @param {Want} want
   * @param {AbortSignal} signal
   * @returns {Promise<Outcome>}
   */
  async #go(name, want, signal) {
    const { waits, ...means } = this.#means;
    if (!means.isIn(name)) await waits.within("guest", means.comeIn(name, signal), signal);
    await waits.within("line", means.lineIsUp(), signal);
    const left = means.left();
    if (left) await waits.within("leave", left, signal);
    const unable = means.cannotCall();
    if (unable) return { kind: "problem", problem: unable };
    const problem = await waits.within("devices", means.openDevices(want), signal);
    if (problem) return { kind: "problem", problem };
    await waits.within("search", this.#ask(), signal);
    return { kind: "searching" };
  }

  /** Say it, and wait until the server has begun or refused it. @returns {Promise<void>} */
  #ask() {
    return new Promise((resolve, reject) => {
      const asked = { resolve, reject };
      this.#asked = asked;
      let asks = 0;
      const say = () => {
        asks += 1;
        this.#means.ask((fate) => {
          if (this.#asked !== asked) return;
          if (fate === "refused") reject(new Refused(""));
          else if (fate === "lost" && asks === ASKS_MAX) reject(new Refused(WAITS.search.overdue));
          else if (fate === "lost") say(); // it does not know this page any more: search as somebody new
        });
      };
      say();
    }).finally(() => (this.#asked = null));
  }

  /** @param {unknown} error @param {Want} want @returns {Outcome} */
  #failed(error, want) {
    if (error instanceof Withdrawn) return { kind: "withdrawn" };
    if (error instanceof IdentityError) {
      return { kind: error.isOfName ? "name" : "refused", message: error.message };
    }
    if (error instanceof Refused) return { kind: "refused", message: error.message };
    if (!(error instanceof Overdue)) return this.#unforeseen(error);
    if (error.what === "search") this.#means.takeBack();
    this.#means.closeDevices(); // what opens too late is closed again
    if (error.what !== "devices") return { kind: "refused", message: error.message };
    const device = want.audio && want.video ? "both" : want.video ? "camera" : "microphone";
    return { kind: "problem", problem: describe("unanswered", want, device) };
  }
  /** @param {unknown} error @returns {Outcome} */
  #unforeseen(error) {
    this.#means.report(error);
    return { kind: "refused", message: UNFORESEEN };
  }
}
