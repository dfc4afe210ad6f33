/**
 * Draws a picture: the content of the page depends only on the last picture, and not on earlier ones. It owns the page's
 * elements, except those of the chat and the videos, and the timer of the running time. It decides nothing; button presses
 * go to the handlers.
 */

import { spell } from "./clock.js";
import { markFrames } from "./frames.js";
import { fill, isolate } from "./names.js";
import { CLOSE_CODES } from "./protocol.js";
import { Screens } from "./screens.js";
import { NOWHERE } from "./server_frames.js";
import * as words from "./words.js";

/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./flow.js").Sending} Sending */
/** @typedef {import("./waits.js").Wait} Wait */

/**
 * Everything that the page shows.
 * @typedef {object} Picture
 * @property {Snapshot} snapshot the last one of the server
 * @property {number} arrived_at when, on the clock of `performance.now()`
 * @property {import("./signaling.js").Link} link
 * @property {boolean} welcomed has a `welcome` arrived?
 * @property {{ online: number, searching: number } | null} presence
 * @property {string} name
 * @property {string} nameProblem a sentence about what is wrong with the name; "": nothing
 * @property {import("./waits.js").What | null} step what an attempt to search waits for; null: there is none
 * @property {{ link: Wait | null, mend: Wait | null }} waits for the connection, and for an interrupted call
 * @property {{ audio: boolean, video: boolean }} choice the devices that the person wants to use
 * @property {import("./media.js").Problem | null} problem with a device, about which the person has to decide
 * @property {MediaStream} own
 * @property {Sending} sending
 * @property {MediaStream | null} partner
 * @property {Sending | null} partnerSending the media that the partner has announced; null: none yet
 * @property {number} failedCalls how many calls in a row could not be set up
 * @property {number} unread how many texts of the partner are unread
 * @property {boolean} ring does the page make sounds?
 */

/**
 * @typedef {object} Handlers
 * @property {(name: string) => void} onFind
 * @property {() => void} onCancel
 * @property {() => void} onSkip
 * @property {() => void} onEnd
 * @property {(on: boolean) => void} onMicrophone
 * @property {(on: boolean) => void} onCamera
 * @property {(on: boolean) => void} onRing
 * @property {() => void} onTryAgain
 * @property {() => void} onContinueWithout
 * @property {() => void} onNotNow
 * @property {() => void} onUseThisTab
 * @property {() => void} onReload
 */

/** The first picture. */
export const BLANK = {
  snapshot: NOWHERE,
  arrived_at: 0,
  link: /** @type {import("./signaling.js").Link} */ ({ status: "off" }),
  welcomed: false,
  presence: null,
  name: "",
  nameProblem: "",
  step: null,
  waits: { link: null, mend: null },
  problem: null,
  partner: null,
  partnerSending: null,
  failedCalls: 0,
  unread: 0,
};

/** The element that gets the focus in a new scene: a heading, where no key has an effect. */
const LANDINGS = {
  welcome: "welcome-title",
  devices: "problem-title",
  hall: "hall-title",
  call: "partner-name",
  stopped: "stopped-title",
};

/** Buttons of a new scene are inert for so long, since an early press was meant for the scene before. */
const HELD_MS = 400;
/** How long a notice stays: enough to read two short sentences twice. */
const NOTICE_MS = 6_000;
/** Sentences within this time are shown together, up to so many characters. */
const TOGETHER_MS = 500;
const NOTICE_MAX_CHARS = 240;
/** The running time is drawn more often than it changes. */
const TICK_MS = 250;

/** @param {string} id @returns {any} */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`expected an element with the id ${id}; the page has none`);
  return found;
}

/** The current texts in the fields, and the notice. */
export function written() {
  const notice = element("notice").textContent;
  return { typed: element("name").value.trim(), draft: element("chat-text").value, notice };
}

export class View {
  /** @type {Picture | null} */
  #picture = null;
  #screens = new Screens(element);
  /** @type {any} */
  #ticker = null;
  /** @type {any} */
  #notice = null;
  #noticed_at = 0;
  /** The text of the last notice. */
  #noticed = "";
  /** @type {any} */
  #held = null;

  /** @param {Handlers} handlers */
  constructor(handlers) {
    element("find-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      handlers.onFind(element("name").value.trim());
    };
    element("find-again").onclick = () => handlers.onFind(element("name").value.trim());
    for (const id of ["cancel", "stop-finding"]) element(id).onclick = () => handlers.onCancel();
    for (const id of ["skip", "go-on"]) element(id).onclick = () => handlers.onSkip();
    element("end").onclick = () => handlers.onEnd();
    element("mute").onclick = () => handlers.onMicrophone(!this.#picture?.sending.audio);
    element("camera").onclick = () => handlers.onCamera(!this.#picture?.sending.video);
    element("come-heard").onclick = () => handlers.onMicrophone(!this.#picture?.choice.audio);
    element("come-seen").onclick = () => handlers.onCamera(!this.#picture?.choice.video);
    element("ring").onclick = () => handlers.onRing(!this.#picture?.ring);
    element("try-again").onclick = () => handlers.onTryAgain();
    element("continue-without").onclick = () => handlers.onContinueWithout();
    element("not-now").onclick = () => handlers.onNotNow();
    element("use-this-tab").onclick = () => handlers.onUseThisTab();
    element("reload").onclick = () => handlers.onReload();
    markFrames(document);
    addEventListener("keydown", ignoreRepeats, { capture: true });
  }

  /** Fill in the name that this tab had before. @param {string} name */
  offerName(name) {
    element("name").value ||= name;
  }

  /** @param {Picture} picture */
  draw(picture) {
    const before = this.#picture;
    this.#picture = { ...picture };
    const scene = sceneOf(picture);
    const { body, activeElement: focused } = document;
    const moved = before === null ? body.dataset.scene !== scene : placeOf(picture) !== placeOf(before);
    body.dataset.state = picture.snapshot.state;
    body.dataset.again = String(picture.snapshot.search_again_ms !== null);
    body.dataset.scene = scene;
    drawBar(picture);
    write("link", words.linkNote(picture));
    drawWelcome(picture);
    drawHall(picture);
    drawDevices(picture.problem);
    drawStopped(picture.link);
    drawCall(picture);
    this.#screens.draw(picture, scene);
    this.#keepTime(scene, picture.snapshot);
    if (before && picture.nameProblem && !before.nameProblem) element("name").focus();
    if (moved) this.#land(scene);
    else if (isHidden(focused)) element(LANDINGS[scene]).focus({ preventScroll: true });
    const news = before ? words.news(before, picture) : [];
    if (news.length > 0) this.whisper(news.join(" "));
  }

  /**
   * Show a notice, which disappears by itself.
   * @param {string} text
   */
  say(text) {
    const now = performance.now();
    const before = now - this.#noticed_at < TOGETHER_MS ? this.#noticed : "";
    const fits = before !== "" && before !== text && before.length + text.length < NOTICE_MAX_CHARS;
    if (this.#notice !== null) clearTimeout(this.#notice);
    this.#noticed_at = now;
    this.#noticed = fits ? `${before} ${text}` : text;
    write("notice", this.#noticed);
    this.#notice = setTimeout(() => (element("notice").textContent = ""), NOTICE_MS);
  }

  /** Announce a text to screen readers only. The same text may be announced again later. @param {string} text */
  whisper(text) {
    element("announcer").replaceChildren(text);
  }

  /** @param {keyof typeof LANDINGS} scene */
  #land(scene) {
    element(LANDINGS[scene]).focus({ preventScroll: true });
    const groups = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-acts]"));
    for (const group of groups) group.inert = true;
    clearTimeout(this.#held);
    this.#held = setTimeout(() => groups.forEach((group) => (group.inert = false)), HELD_MS);
  }

  /** Run the timer only where the time is shown. @param {string} scene @param {Snapshot} snapshot */
  #keepTime(scene, snapshot) {
    const { state } = snapshot;
    const runs =
      (scene === "hall" && (state === "searching" || words.isLongWait(snapshot))) ||
      (scene === "call" && state === "connected");
    if (runs) this.#tick();
    if (runs && this.#ticker === null) this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    if (runs || this.#ticker === null) return;
    clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #tick() {
    if (!this.#picture) return;
    const { snapshot, arrived_at } = this.#picture;
    const passed_ms = performance.now() - arrived_at;
    if (snapshot.state === "ended") return write("hall-title", words.hallTitle(snapshot, passed_ms));
    const time = spell(snapshot.since_ms + passed_ms);
    write(snapshot.state === "searching" ? "waited" : "call-time", time);
  }
}

/**
 * Which part of the page is shown.
 * @param {Picture} picture
 * @returns {keyof typeof LANDINGS}
 */
function sceneOf({ link, problem, snapshot }) {
  if (link.status === "stopped") return "stopped";
  if (problem) return "devices";
  switch (snapshot.state) {
    case "idle":
      return "welcome";
    case "searching":
    case "ended":
      return "hall";
    case "connecting":
    case "connected":
      return "call";
  }
}

/** A key for the view that a press is meant for: two calls in a row differ, and so do a search and an end. @param {Picture} picture */
function placeOf(picture) {
  const { snapshot } = picture;
  const scene = sceneOf(picture);
  return `${scene} ${words.rests(snapshot)} ${scene === "call" ? snapshot.session : ""}`;
}

/** @param {Picture} picture */
function drawBar(picture) {
  const { presence, snapshot } = picture;
  const together = snapshot.state === "connecting" || snapshot.state === "connected";
  write("presence", presence && !together ? words.crowd(presence) : "");
  document.title = words.pageTitle(picture);
}

/** @param {Picture} picture */
function drawWelcome(picture) {
  const { step, nameProblem, choice } = picture;
  const finding = step !== null;
  for (const id of ["find", "find-again"]) element(id).ariaBusy = String(finding);
  element("stop-finding").hidden = !finding;
  element("name").ariaInvalid = String(nameProblem !== "");
  write("name-error", nameProblem);
  write("find-hint", words.findHint(picture));
  control("come-heard", choice.audio, "mic", ["Microphone on", "Microphone off"]);
  control("come-seen", choice.video, "camera", ["Camera on", "Camera off"]);
}

/** @param {Picture} picture */
function drawHall(picture) {
  const { snapshot, name, step, failedCalls, ring } = picture;
  const { state, message, search_again_ms } = snapshot;
  write("own-initial", initial(name));
  if (state === "searching" || (state === "ended" && !words.isLongWait(snapshot))) {
    write("hall-title", words.hallTitle(snapshot, 0));
  }
  const rests = words.rests(snapshot);
  if (rests && step !== null) write("waited", words.findHint(picture));
  // If the next search begins in half a second, the message is a notice instead.
  else if (state === "ended") {
    write("waited", search_again_ms !== null && !words.isLongWait(snapshot) ? "" : (message ?? ""));
  }
  write("network-advice", words.networkAdvice(failedCalls));
  write("cancel", rests && step === null ? "Back" : "Cancel");
  element("find-again").hidden = !rests;
  // The heading gets the focus, so a screen reader also reads why the session is over.
  if (rests) element("hall-title").setAttribute("aria-describedby", "waited");
  else element("hall-title").removeAttribute("aria-describedby");
  element("ring").hidden = rests;
  control("ring", ring, "sound", ["Ring on", "Ring off"]);
}

/** @param {import("./media.js").Problem | null} problem */
function drawDevices(problem) {
  if (!problem) return;
  write("problem-title", problem.title);
  write("problem-advice", problem.advice);
  write("continue-without", problem.fallbackLabel);
  element("continue-without").hidden = problem.fallback === null;
}

/** @param {import("./signaling.js").Link} link */
function drawStopped(link) {
  if (link.status !== "stopped") return;
  const elsewhere = link.code === CLOSE_CODES.CONNECTED_ELSEWHERE;
  write("stopped-title", words.stoppedTitle(link));
  write("stopped-why", link.message);
  element("use-this-tab").hidden = !elsewhere;
  element("reload").hidden = elsewhere;
  write("reload", link.code === CLOSE_CODES.BAD_TOKEN ? "Try again" : "Reload");
}

/** @param {Picture} picture */
function drawCall(picture) {
  const { snapshot, name, sending, partnerSending, waits } = picture;
  const { state, partner } = snapshot;
  if (state !== "connecting" && state !== "connected") return;
  const theirName = partner?.name ?? "Your partner";
  element("call").ariaLabel = `Call with ${theirName}`;
  write("partner-name", theirName);
  write("partner-initial", initial(theirName));
  write("self-initial", initial(name));
  if (state === "connecting") write("call-time", "");
  const them = isolate(theirName);
  write("seat-note", words.seatNote(them, snapshot, partnerSending));
  write("seat-status", state === "connecting" ? "Waiting for partner…" : "");
  write("stage-note", words.stageNote(them, picture));
  element("go-on").hidden = !(state === "connected" && waits.mend?.overdue);
  element("partner-muted").toggleAttribute("hidden", partnerSending?.audio !== false);
  control("mute", sending.audio, "mic", ["Mute", "Unmute"]);
  control("camera", sending.video, "camera", ["Camera off", "Camera on"]);
}

/**
 * Draw a button whose label says what pressing it does, and whose icon shows the current state.
 * @param {string} id @param {boolean} on @param {string} icon @param {[string, string]} labels if on, if off
 */
function control(id, on, icon, labels) {
  const button = element(id);
  button.classList.toggle("off", !on);
  button.querySelector("use").setAttribute("href", on ? `#i-${icon}` : `#i-${icon}-off`);
  const label = button.querySelector("span");
  const text = labels[on ? 0 : 1];
  if (label.textContent !== text) label.textContent = text;
}

/** Has the focused element been hidden? Some browsers drop its focus at once, so `draw` reads it before. @param {Element | null} focused */
function isHidden(focused) {
  return focused !== null && focused !== document.body && focused.getClientRects().length === 0;
}

/** Write a text only if it changes, so that screen readers read it once. @param {string} id @param {string} text */
function write(id, text) {
  fill(element(id), text);
}

/** @param {string} name */
function initial(name) {
  return [...name.trim()][0]?.toUpperCase() ?? "";
}

/** Ignore the repetitions of a held key, so that it presses a button once. @param {KeyboardEvent} event */
function ignoreRepeats(event) {
  const onButton = event.target instanceof HTMLButtonElement && event.key === " ";
  if (event.repeat && (event.key === "Enter" || onButton)) event.preventDefault();
}
