/**
 * The steps from the press of Find Partner to the search: a guest, a connection, the devices, then the frame `search`.
 *
 * The steps run in sequence; each is a wait of `waits.js`, and the person can cancel all of them. The page opens the
 * devices once the server is connected, and searches once they are open, so no partner waits for a permission prompt.
 * It owns the current attempt. It draws nothing: the outcome is the result of `begin`.
 */

import { IdentityError } from "./identity.js";
import { describe } from "./problems.js";
import { Overdue, WAITS, Withdrawn } from "./waits.js";

/** @typedef {import("./media.js").Want} Want */
/** @typedef {import("./media.js").Problem} Problem */
/** @typedef {import("./waits.js").What} What */

/**
 * The outcome of an attempt: the server searches; it was withdrawn; the name or the attempt is refused with a sentence
 * (empty if the person has read it already); or this browser has a problem.
 * @typedef {{ kind: "searching" | "withdrawn" }
 *   | { kind: "name" | "refused", message: string }
 *   | { kind: "problem", problem: Problem }} Outcome
 */

/**
 * What an attempt needs. A promise may never settle.
 * @typedef {object} Means
 * @property {import("./waits.js").Waits} waits
 * @property {(name: string) => boolean} isIn is the page connected with this name, or connecting?
 * @property {(name: string, signal: AbortSignal) => Promise<void>} comeIn get an identity for this name, and begin to
 *   connect; it has no effect once `signal` is aborted
 * @property {() => Promise<void>} lineIsUp
 * @property {() => Promise<void> | null} left the wait for the server to handle a leave; null: none
 * @property {() => Problem | null} cannotCall the problem that prevents calls in this browser
 * @property {(want: Want) => Promise<Problem | null>} openDevices
 * @property {() => void} closeDevices
 * @property {(onFate: import("./said.js").OnFate) => void} ask send `search` to the server
 * @property {() => void} takeBack withdraw the search that may have been sent
 * @property {(error: unknown) => void} report an unexpected error
 */

/** The steps, in order. @type {readonly What[]} */
export const STEPS = ["guest", "line", "leave", "devices", "search"];

/** How often a search is sent to a server that has lost it. */
const ASKS_MAX = 3;

/** For an unexpected error, so that every press of the button has a response. */
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
      attempt.abort(); // a late result has no effect
      if (this.#attempt === attempt) this.#attempt = null;
    }
  }

  /** The person cancels the search. */
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

  /** The server has refused the search, and the person has read why. */
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

  /** Send the search, and wait until the server has begun or refused it. @returns {Promise<void>} */
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
          else if (fate === "lost") say(); // the server has a new actor for this page, which does not search
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
    this.#means.closeDevices(); // a device that opens later is closed, too
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
