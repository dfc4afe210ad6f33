/**
 * Tells the person what happens to devices in use, and tries to reopen lost ones when they may be back: after a device
 * was plugged in, and when the page becomes visible. It tries three times after each such event. It owns the timer of the
 * tries.
 */

import { browserClock } from "./waits.js";
import { deviceNews } from "./words.js";

/** The delay before each try. Plugging in fires several events at once, and a device needs a moment to start. */
const DELAYS_MS = [300, 1_200, 4_000];

/** @typedef {Pick<import("./media.js").Devices, "lost" | "silenced" | "sending" | "regain">} Watched */

export class DeviceWatch {
  #devices;
  #say;
  #clock;
  #before;
  /** @type {any} */
  #timer = null;

  /**
   * @param {Watched} devices
   * @param {(sentence: string) => void} say
   * @param {EventTarget | undefined} mediaDevices undefined on a page that is not secure
   * @param {Pick<Document, "addEventListener" | "visibilityState">} page
   * @param {import("./waits.js").Clock} clock
   */
  constructor(devices, say, mediaDevices = navigator.mediaDevices, page = document, clock = browserClock()) {
    this.#devices = devices;
    this.#say = say;
    this.#clock = clock;
    this.#before = stateOf(devices);
    mediaDevices?.addEventListener("devicechange", () => this.#tryLater(0));
    page.addEventListener("visibilitychange", () => page.visibilityState === "visible" && this.#tryLater(0));
  }

  /** The state of the devices has changed. */
  changed() {
    const before = this.#before;
    this.#before = stateOf(this.#devices);
    for (const sentence of deviceNews(before, this.#before)) this.#say(sentence);
  }

  /** @param {number} attempt counted from 0 */
  #tryLater(attempt) {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    const { audio, video } = this.#devices.lost;
    if (!(audio || video) || attempt >= DELAYS_MS.length) return;
    this.#timer = this.#clock.setTimeout(() => this.#try(attempt), DELAYS_MS[attempt] ?? 0);
  }

  /** @param {number} attempt */
  async #try(attempt) {
    this.#timer = null;
    await this.#devices.regain();
    if (this.#timer === null) this.#tryLater(attempt + 1); // else another event has started the tries anew
  }
}

/** @param {Watched} devices */
function stateOf({ lost, silenced, sending }) {
  return { lost, silenced, sending };
}
