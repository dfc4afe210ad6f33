/**
 * The sounds of the page: the loop of a state, cues that play once, and a sound for messages.
 * It owns its audio elements; in a state without a sound, none plays. One switch silences all of them, like the ringer
 * switch of a phone, and is kept for the next visit. A browser may block sound until the first click. That is no error:
 * the loop starts with the click, and a cue is skipped.
 */

import { Budget } from "./budget.js";
import { recall, remember } from "./preferences.js";

/** @typedef {{ name: string, volume: number }} Loop */

/** Cues need not draw attention; they only confirm. */
const CUE_VOLUME = 0.5;
const MESSAGE_VOLUME = 0.25;
/** Many messages in a row make one sound in four seconds. */
const MESSAGES = { per_s: 0.25, burst: 1 };
const NAMES = ["ring", "chime", "hangup", "message"];

export class Sounds {
  #base;
  #create;
  #now;
  #messages;
  #on = recall("ring") !== false;
  /** @type {Map<string, HTMLAudioElement>} */
  #elements = new Map();
  /** @type {HTMLAudioElement | null} */
  #loop = null;

  /**
   * @param {string} base the folder of the sounds
   * @param {(url: string) => HTMLAudioElement} create
   * @param {() => number} now milliseconds
   */
  constructor(base, create = (url) => new Audio(url), now = () => performance.now()) {
    this.#base = base;
    this.#create = create;
    this.#now = now;
    this.#messages = new Budget(MESSAGES, now());
  }

  /** Are sounds switched on? */
  get on() {
    return this.#on;
  }

  /** Switch all sounds on or off, also for the next visit. @param {boolean} on */
  switch(on) {
    this.#on = on;
    remember("ring", on);
    if (on) return this.unblock();
    for (const element of this.#elements.values()) silence(element);
  }

  /**
   * Play this loop; if it plays already, it continues without a break.
   * @param {Loop | null} wanted
   */
  loop(wanted) {
    const element = wanted && this.#element(wanted.name);
    if (this.#loop && this.#loop !== element) silence(this.#loop);
    this.#loop = element;
    if (!element) return;
    element.loop = true;
    element.volume = wanted.volume;
    this.unblock();
  }

  /** @param {string | null} name */
  cue(name) {
    if (name !== null) this.#once(name, CUE_VOLUME);
  }

  /** Play the sound for a message that is not read at once. */
  message() {
    if (this.#messages.take(this.#now())) this.#once("message", MESSAGE_VOLUME);
  }

  /** The person has clicked: a browser that blocked the loop allows it now. */
  unblock() {
    if (this.#on && this.#loop) play(this.#loop);
  }

  /** @param {string} name @param {number} volume */
  #once(name, volume) {
    const element = this.#on ? this.#element(name) : null;
    if (!element) return;
    element.volume = volume;
    element.currentTime = 0;
    play(element);
  }

  /** A server may name a sound that this page does not have. @param {string} name */
  #element(name) {
    if (!NAMES.includes(name)) return null;
    let element = this.#elements.get(name);
    if (!element) {
      element = this.#create(`${this.#base}${name}.wav`);
      this.#elements.set(name, element);
    }
    return element;
  }
}

/** @param {HTMLAudioElement} element */
function play(element) {
  if (element.paused) element.play().catch(() => {}); // blocked, or silenced before it began
}

/** @param {HTMLAudioElement} element */
function silence(element) {
  element.pause();
  element.currentTime = 0;
}
