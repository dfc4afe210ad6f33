/**
 * Draws the picture it is given, and only that: what is on the page depends on the last picture and on nothing
 * that was drawn before. It owns the page's elements and the timer of the running time. It decides nothing; what
 * people press goes to the handlers.
 */

import { spell } from "./clock.js";
import { REPLACED } from "./protocol.js";

/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./flow.js").Sending} Sending */

/**
 * Everything that can be seen.
 * @typedef {object} Picture
 * @property {Snapshot} snapshot what the server last told
 * @property {number} arrived_at when, on the clock of `performance.now()`
 * @property {import("./signaling.js").Link} link
 * @property {boolean} welcomed has the server ever answered?
 * @property {{ online: number, searching: number } | null} presence
 * @property {string} name
 * @property {string} nameProblem what is wrong with the name, for the person; "" if nothing is
 * @property {boolean} asking Find Partner was pressed, and the search has not begun yet
 * @property {import("./media.js").Problem | null} problem with a device, that the person has to decide about
 * @property {MediaStream} own
 * @property {Sending} sending
 * @property {MediaStream | null} partner
 * @property {Sending | null} partnerSending what the partner says it sends; null: not known yet
 * @property {boolean} interrupted the call does not flow at the moment
 */

/**
 * @typedef {object} Handlers
 * @property {(name: string) => void} onFind
 * @property {() => void} onCancel
 * @property {() => void} onSkip
 * @property {() => void} onEnd
 * @property {(on: boolean) => void} onMicrophone
 * @property {(on: boolean) => void} onCamera
 * @property {() => void} onTryAgain
 * @property {() => void} onContinueWithout
 * @property {() => void} onNotNow
 * @property {() => void} onUseThisTab
 * @property {() => void} onReload
 */

/** Where the keyboard goes when the scene in which it was is over: to what is safe to press there. */
const LANDINGS = {
  welcome: "find",
  devices: "problem-title",
  hall: "cancel",
  call: "mute",
  stopped: "stopped-title",
};

/** How long a passing notice stays: two short sentences can be read twice. */
const NOTICE_MS = 6_000;
/** The running time is looked at a little more often than it changes. */
const TICK_MS = 250;

/** @param {string} id @returns {any} */
export function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`expected an element with the id ${id}; the page has none`);
  return found;
}

export class View {
  /** @type {Picture | null} */
  #picture = null;
  /** @type {number | null} */
  #ticker = null;
  /** @type {number | null} */
  #notice = null;

  /** @param {Handlers} handlers */
  constructor(handlers) {
    element("find-form").onsubmit = (/** @type {Event} */ event) => {
      event.preventDefault();
      handlers.onFind(element("name").value.trim());
    };
    element("find-again").onclick = () => handlers.onFind(element("name").value.trim());
    element("cancel").onclick = () => handlers.onCancel();
    element("skip").onclick = () => handlers.onSkip();
    element("end").onclick = () => handlers.onEnd();
    element("mute").onclick = () => handlers.onMicrophone(!this.#picture?.sending.audio);
    element("camera").onclick = () => handlers.onCamera(!this.#picture?.sending.video);
    element("try-again").onclick = () => handlers.onTryAgain();
    element("continue-without").onclick = () => handlers.onContinueWithout();
    element("not-now").onclick = () => handlers.onNotNow();
    element("use-this-tab").onclick = () => handlers.onUseThisTab();
    element("reload").onclick = () => handlers.onReload();
    element("allow-sound").onclick = () => this.#play(element("partner-video"));
    element("partner-video").onresize = (/** @type {any} */ { target }) =>
      target.classList.toggle("upright", target.videoHeight > target.videoWidth);
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
    const { body } = document;
    body.dataset.state = picture.snapshot.state;
    body.dataset.again = String(picture.snapshot.search_again_in !== null);
    const scenery = body.dataset.scene;
    body.dataset.scene = scene;
    drawBar(picture);
    drawWelcome(picture);
    drawHall(picture);
    drawDevices(picture.problem);
    drawStopped(picture.link);
    drawCall(picture);
    this.#drawVideos(picture, scene);
    this.#keepTime(scene, picture.snapshot.state);
    if (before && picture.nameProblem && !before.nameProblem) element("name").focus();
    if (scene !== scenery) land(scene, picture);
    if (before && before.snapshot.state !== picture.snapshot.state) announce(picture.snapshot);
  }

  /**
   * Something to read that passes: it goes by itself.
   * @param {string} text
   */
  say(text) {
    if (this.#notice !== null) clearTimeout(this.#notice);
    element("notice").textContent = text;
    this.#notice = setTimeout(() => (element("notice").textContent = ""), NOTICE_MS);
  }

  /** Something that is seen already, for those who do not see it. @param {string} text */
  whisper(text) {
    element("announcer").textContent = text;
  }

  /** @param {Picture} picture @param {string} scene */
  #drawVideos({ snapshot, own, sending, partner, partnerSending }, scene) {
    const inCall = scene === "call";
    screen("preview", scene === "hall" && sending.video ? own : null);
    screen("self-video", inCall && sending.video ? own : null);
    const theirs = snapshot.state === "connected" ? partner : null;
    const video = element("partner-video");
    video.classList.toggle("on", theirs !== null && partnerSending?.video !== false);
    if (video.srcObject === theirs) return;
    video.srcObject = theirs;
    element("allow-sound").hidden = true;
    if (theirs) this.#play(video);
  }

  /** @param {HTMLVideoElement} video */
  async #play(video) {
    try {
      await video.play();
      element("allow-sound").hidden = true;
    } catch (error) {
      // Blocked until the person presses something: so give them something to press.
      const blocked = error instanceof Error && error.name === "NotAllowedError";
      element("allow-sound").hidden = !(blocked && video.srcObject);
    }
  }

  /** The time runs only where it is shown. @param {string} scene @param {import("./protocol.js").State} state */
  #keepTime(scene, state) {
    const runs = (scene === "hall" && state === "searching") || (scene === "call" && state === "connected");
    if (runs) this.#tick();
    if (runs && this.#ticker === null) this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    if (runs || this.#ticker === null) return;
    clearInterval(this.#ticker);
    this.#ticker = null;
  }

  #tick() {
    if (!this.#picture) return;
    const { snapshot, arrived_at } = this.#picture;
    const time = spell(snapshot.since_ms + performance.now() - arrived_at);
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

/** @param {Picture} picture */
function drawBar({ link, welcomed, presence, snapshot }) {
  const down = link.status === "waiting" || (link.status === "connecting" && welcomed);
  write("link", down ? "Reconnecting…" : "");
  const together = snapshot.state === "connecting" || snapshot.state === "connected";
  write("presence", presence && !together ? crowd(presence) : "");
  document.title = titleOf(snapshot);
}

/** @param {{ online: number, searching: number }} presence */
function crowd({ online, searching }) {
  return `${online} ${online === 1 ? "person" : "people"} here, ${searching} searching`;
}

/** @param {Snapshot} snapshot */
function titleOf({ state, partner }) {
  if (state === "searching") return "Finding a Partner… · studymatch";
  if (state === "connecting") return "Waiting for partner… · studymatch";
  if (state === "connected") return `${partner?.name} · studymatch`;
  return "studymatch";
}

/** @param {Picture} picture */
function drawWelcome({ asking, nameProblem, welcomed }) {
  for (const id of ["find", "find-again"]) element(id).ariaBusy = String(asking);
  element("name").ariaInvalid = String(nameProblem !== "");
  write("name-error", nameProblem);
  const waitsFor = welcomed ? "Allow your camera and microphone when the browser asks." : "One moment…";
  write("find-hint", asking ? waitsFor : "This turns on your camera and microphone.");
}

/** @param {Picture} picture */
function drawHall({ snapshot, name }) {
  const { state, message, search_again_in } = snapshot;
  const again = search_again_in !== null;
  write("own-initial", initial(name));
  if (state === "searching") write("hall-title", "Finding a Partner…");
  if (state === "ended") {
    write("hall-title", again ? "Searching again…" : "Session over");
    // With a new search half a second away, the message is a passing notice instead.
    write("waited", again ? "" : (message ?? ""));
  }
  element("cancel").hidden = state === "ended" && !again;
  element("find-again").hidden = !(state === "ended" && !again);
}

/** @param {import("./media.js").Problem | null} problem */
function drawDevices(problem) {
  if (!problem) return;
  write("problem-title", problem.title);
  write("problem-advice", problem.advice);
  write("continue-without", problem.fallbackLabel);
}

/** @param {import("./signaling.js").Link} link */
function drawStopped(link) {
  if (link.status !== "stopped") return;
  const elsewhere = link.code === REPLACED;
  write("stopped-title", elsewhere ? "You are in another tab" : "The connection has ended");
  write("stopped-why", link.message);
  element("use-this-tab").hidden = !elsewhere;
  element("reload").hidden = elsewhere;
}

/** @param {Picture} picture */
function drawCall({ snapshot, name, sending, partnerSending, interrupted }) {
  const { state, partner } = snapshot;
  if (state !== "connecting" && state !== "connected") return;
  const theirName = partner?.name ?? "Your partner";
  element("call").ariaLabel = `Call with ${theirName}`;
  write("partner-name", theirName);
  write("partner-initial", initial(theirName));
  write("self-initial", initial(name));
  if (state === "connecting") write("call-time", "");
  write("seat-note", state === "connecting" ? "Waiting for partner…" : seatNote(theirName, partnerSending));
  write("stage-note", stageNote(theirName, partner?.away === true, state === "connected" && interrupted));
  element("partner-muted").toggleAttribute("hidden", partnerSending?.audio !== false);
  control("mute", sending.audio, "mic", ["Mute", "Unmute"]);
  control("camera", sending.video, "camera", ["Camera off", "Camera on"]);
}

/** @param {string} name @param {Sending | null} sending */
function seatNote(name, sending) {
  if (!sending || sending.video) return "";
  return sending.audio ? `${name}'s camera is off` : `${name}'s camera and microphone are off`;
}

/** @param {string} name @param {boolean} away @param {boolean} interrupted */
function stageNote(name, away, interrupted) {
  if (away) return `${name}'s connection dropped. Waiting for them to come back…`;
  return interrupted ? "The call is interrupted. Bringing it back…" : "";
}

/**
 * A button that says what pressing it does, and shows how it is now.
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

/** Text is written only when it changes, so that screen readers say it once. @param {string} id @param {string} text */
function write(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

/** Show this stream, or let go of the one that was shown. @param {string} id @param {MediaStream | null} stream */
function screen(id, stream) {
  const video = element(id);
  video.classList.toggle("on", stream !== null);
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  if (stream) video.play().catch(() => {}); // taken away before it began
}

/** @param {string} name */
function initial(name) {
  return [...name.trim()][0]?.toUpperCase() ?? "";
}

/** @param {keyof typeof LANDINGS} scene @param {Picture} picture */
function land(scene, { snapshot }) {
  const rests = snapshot.state === "ended" && snapshot.search_again_in === null;
  element(scene === "hall" && rests ? "hall-title" : LANDINGS[scene]).focus({ preventScroll: true });
}

/**
 * What those hear who do not see. In other words than what is seen, so that nobody reads the same twice.
 * @param {Snapshot} snapshot
 */
function announce({ state, search_again_in }) {
  const said = {
    idle: "You are back at the entrance.",
    searching: "Looking for somebody to study with.",
    connecting: "Somebody was found. Setting up the call.",
    connected: "You are face to face.",
    ended: search_again_in === null ? "The session is over." : "The session is over. The next search begins.",
  };
  write("announcer", said[state]);
}
