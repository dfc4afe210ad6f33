/**
 * The videos of the page: sets the stream of each, and keeps it playing. If the browser pauses a video (a hidden page, a
 * media key), it is played again as long as its stream is active. If the browser forbids that, a button appears. It owns
 * the streams of the video elements, and that button.
 */

import { Budget } from "./budget.js";
import { Preview } from "./preview.js";

/** If a browser keeps pausing a video, only the button remains. */
const RESUMPTIONS = { per_s: 0.2, burst: 5 };

export class Screens {
  #partner;
  #preview;
  #copy = new Preview();
  #self;
  #offer;
  #now;
  #resumptions;

  /** @param {(id: string) => any} element finds an element of the page @param {() => number} now milliseconds */
  constructor(element, now = () => performance.now()) {
    this.#partner = element("partner-video");
    this.#preview = element("preview");
    this.#self = element("self-video");
    this.#offer = element("allow-sound");
    this.#now = now;
    this.#resumptions = new Budget(RESUMPTIONS, now());
    this.#offer.onclick = () => this.#play(this.#partner);
    for (const video of this.#videos) video.onpause = () => this.#paused(video);
    this.#partner.onresize = () => this.#turn();
    document.addEventListener("visibilitychange", () => this.#resume());
    addEventListener("pageshow", () => this.#resume());
  }

  get #videos() {
    return [this.#partner, this.#preview, this.#self];
  }

  /** @param {import("./view.js").Picture} picture @param {string} scene */
  draw({ snapshot, own, sending, partner, partnerSending }, scene) {
    const theirs = snapshot.state === "connected" ? partner : null;
    const camera = scene === "hall" && sending.video ? own.getVideoTracks()[0] : undefined;
    this.#show(this.#preview, this.#copy.of(camera ?? null));
    this.#show(this.#self, scene === "call" && sending.video ? own : null);
    this.#show(this.#partner, theirs);
    this.#partner.classList.toggle("on", theirs !== null && partnerSending?.video !== false);
  }

  /** Show this stream; null: show none. @param {any} video @param {MediaStream | null} stream */
  #show(video, stream) {
    video.classList.toggle("on", stream !== null);
    if (video.srcObject === stream) return;
    video.srcObject = stream;
    if (video === this.#partner) this.#offer.hidden = true;
    if (stream) this.#play(video);
  }

  /** @param {any} video */
  async #play(video) {
    let blocked = false;
    try {
      await video.play();
    } catch (error) {
      // Other errors are harmless: the stream was removed before it began to play.
      blocked = error instanceof Error && error.name === "NotAllowedError";
    }
    if (video === this.#partner) this.#offer.hidden = !(blocked && video.srcObject);
  }

  /** @param {any} video */
  #paused(video) {
    if (!lives(video)) return;
    if (this.#resumptions.take(this.#now())) this.#play(video);
    else if (video === this.#partner) this.#offer.hidden = false;
  }

  /** The page is visible again. */
  #resume() {
    if (document.visibilityState !== "visible") return;
    for (const video of this.#videos) if (video.paused && lives(video)) this.#play(video);
  }

  /** The video of a partner who holds a phone upright is higher than wide. */
  #turn() {
    const { videoHeight, videoWidth } = this.#partner;
    this.#partner.classList.toggle("upright", videoHeight > videoWidth);
  }
}

/** @param {HTMLVideoElement} video */
function lives({ srcObject }) {
  return srcObject instanceof MediaStream && srcObject.active;
}
