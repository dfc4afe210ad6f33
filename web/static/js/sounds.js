/**
 * What is heard of the study hall: the loop that belongs to a state, and cues that play once.
 * It owns its audio elements; a state that has no sound leaves none playing. A browser may block sound until the
 * first click, and that is no error: the loop starts with the click, a cue is missed.
 */

/** @typedef {{ name: string, volume: number }} Loop */

/** Cues are quieter than the ring's clicks of attention: they confirm, they do not call. */
const CUE_VOLUME = 0.5;
const NAMES = ["ring", "chime", "hangup"];

export class Sounds {
  #base;
  #create;
  /** @type {Map<string, HTMLAudioElement>} */
  #elements = new Map();
  /** @type {HTMLAudioElement | null} */
  #loop = null;

  /**
   * @param {string} base the folder of the sounds
   * @param {(url: string) => HTMLAudioElement} create
   */
  constructor(base, create = (url) => new Audio(url)) {
    this.#base = base;
    this.#create = create;
  }

  /**
   * Make this the loop that is heard; one that already is goes on without a break.
   * @param {Loop | null} wanted
   */
  loop(wanted) {
    const element = wanted && this.#element(wanted.name);
    if (this.#loop && this.#loop !== element) silence(this.#loop);
    this.#loop = element;
    if (!element) return;
    element.loop = true;
    element.volume = wanted.volume;
    play(element);
  }

  /** @param {string | null} name */
  cue(name) {
    const element = name === null ? null : this.#element(name);
    if (!element) return;
    element.volume = CUE_VOLUME;
    element.currentTime = 0;
    play(element);
  }

  /** The person has clicked: a browser that blocked the loop allows it now. */
  unblock() {
    if (this.#loop?.paused) play(this.#loop);
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
