/**
 * Connects the parts of the page: frames go to the picture, the call and the sounds; button presses become frames.
 *
 * The server decides everything about the encounter, so the page has no state machine: for each snapshot it updates the
 * call, the devices and the sound. The page decides two things that the server cannot know: what happens before a search
 * begins (`Finding`), and what the person leaves before the server has handled it (`Leaving`).
 */

import { comeAlive } from "./alive.js";
import { DeviceWatch } from "./device_watch.js";
import { Encounter } from "./encounter.js";
import { Finding, STEPS } from "./finding.js";
import { Identity } from "./identity.js";
import { Leaving } from "./leaving.js";
import { Devices } from "./media.js";
import { isolateIn } from "./names.js";
import { broughtBy, keepCounted } from "./presence.js";
import { Reopening } from "./reopening.js";
import { NOWHERE } from "./server_frames.js";
import { Signaling } from "./signaling.js";
import { Sounds } from "./sounds.js";
import { Talk } from "./talk.js";
import { Version } from "./version.js";
import { BLANK, element, View, written } from "./view.js";
import { Waits } from "./waits.js";
import { isLongWait, mayBeNetwork, placeLost, rests } from "./words.js";

/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./media.js").Want} Want */

/** The snapshot to leave if the server may have received a search but has not confirmed it. @type {Snapshot} */
const ASKED = { ...NOWHERE, state: "searching" };

class Page {
  #identity = new Identity();
  #waits = new Waits(() => this.#redraw({}));
  #devices = new Devices(() => this.#devicesChanged());
  #deviceWatch = new DeviceWatch(this.#devices, (text) => this.#view.say(text));
  #sounds = new Sounds(new URL("../sounds/", import.meta.url).href);
  #version = new Version({
    own: document.documentElement.dataset.build,
    look: () => ({ ...this.#picture, ...written() }),
    say: (text) => this.#view.say(text),
  });
  #reopening = new Reopening({
    waits: this.#waits,
    devices: this.#devices,
    onProblem: (problem) => this.#tellProblem(problem),
  });
  #signaling;
  #view;
  #talk;
  #encounter;
  #finding;
  #leaving;
  /** When the last frame of the server arrived, on a clock that continues while the computer sleeps. */
  #heard_at = 0;
  /** @type {import("./view.js").Picture} */
  #picture = {
    ...BLANK,
    presence: broughtBy(element("presence")),
    own: this.#devices.stream,
    sending: this.#devices.sending,
    choice: this.#devices.choice,
    ring: this.#sounds.on,
  };

  constructor() {
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#signaling = new Signaling({
      url: url.href,
      identify: (refused) => this.#identity.token(refused),
      onFrame: (frame) => this.#hear(frame),
      onLink: (link) => this.#linkChanged(link),
    });
    this.#finding = new Finding(this.#means());
    this.#leaving = new Leaving({
      waits: this.#waits,
      send: (frame, onFate) => this.#signaling.send(frame, onFate),
      onOverdue: () => this.#enter(),
    });
    this.#encounter = new Encounter({
      signaling: this.#signaling,
      waits: this.#waits,
      devices: this.#devices,
      onChange: (seen) => this.#redraw(seen),
      onProblem: (problem) => this.#redraw({ problem }),
    });
    this.#view = new View(this.#handlers());
    this.#talk = new Talk({
      element,
      signaling: this.#signaling,
      view: this.#view,
      sounds: this.#sounds,
      onUnread: (unread) => this.#redraw({ unread }),
    });
    this.#listen();
  }

  /** Start: connect with the guest that this tab had, if any, and resume the call that a reload interrupted. */
  async open() {
    this.#view.offerName(this.#identity.name);
    this.#redraw({ name: this.#identity.name });
    comeAlive();
    const place = this.#identity.takePlace();
    if (!(await this.#identity.restore()) || this.#finding.underway) return;
    this.#encounter.returns = place !== null;
    this.#enter(place);
  }

  /** @returns {import("./view.js").Handlers} */
  #handlers() {
    return {
      onFind: (name) => this.#find(name),
      onCancel: () => this.#cancel(),
      onSkip: () => this.#skip(),
      onEnd: () => this.#leave(),
      onMicrophone: async (on) => this.#tellProblem(await this.#devices.setMicrophone(on)),
      onCamera: async (on) => this.#tellProblem(await this.#devices.setCamera(on)),
      onRing: (on) => this.#ring(on),
      onTryAgain: () => this.#search(this.#devices.choice),
      onContinueWithout: () => this.#search(this.#picture.problem?.fallback ?? this.#devices.choice),
      onNotNow: () => this.#redraw({ problem: null }),
      onUseThisTab: () => this.#signaling.start(),
      onReload: () => location.reload(),
    };
  }

  /** @returns {import("./finding.js").Means} */
  #means() {
    return {
      waits: this.#waits,
      isIn: (name) => this.#identity.enters(name) && this.#signaling.isComing,
      comeIn: (name, signal) => this.#comeIn(name, signal),
      lineIsUp: () => this.#signaling.up(),
      left: () => this.#leaving.left(),
      cannotCall: () => this.#encounter.problem,
      openDevices: (want) => this.#devices.open(want),
      closeDevices: () => this.#devices.close(),
      ask: (onFate) => this.#signaling.send({ type: "search", criteria: {} }, onFate),
      takeBack: () => this.#signaling.takeBackSearch() || this.#leaving.begin(ASKED),
      report: (error) => reportError(error),
    };
  }

  #listen() {
    for (const event of ["pointerdown", "keydown"]) {
      addEventListener(event, () => this.#sounds.unblock(), { capture: true });
    }
    addEventListener("online", () => this.#signaling.nudge());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#signaling.nudge();
    });
    const isOff = () => this.#picture.link.status === "off";
    keepCounted(isOff, (presence) => this.#redraw({ presence }));
    addEventListener("pagehide", () => this.#hide());
    // A page from the back/forward cache has no call and no connection any more: reload it.
    addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
  }

  // Actions of the person

  /** @param {string} name */
  async #find(name) {
    if (!name) return this.#redraw({ nameProblem: "Please enter your name." });
    this.#redraw({ nameProblem: "", name });
    await this.#search(this.#devices.choice);
  }

  /** @param {Want} want the devices to come with */
  async #search(want) {
    if (this.#finding.underway) return;
    this.#redraw({ problem: null });
    const outcome = await this.#finding.begin(this.#picture.name, want);
    switch (outcome.kind) {
      case "name":
        this.#redraw({ nameProblem: outcome.message });
        break;
      case "problem":
        this.#redraw({ problem: outcome.problem });
        break;
      case "refused":
        if (outcome.message) this.#view.say(outcome.message);
        break;
      default:
    }
    this.#rest();
    this.#redraw({});
  }

  /** Get a guest with this name, and begin to connect. @param {string} name @param {AbortSignal} signal */
  async #comeIn(name, signal) {
    await this.#identity.become(name, signal);
    if (!signal.aborted) this.#enter();
  }

  /** @param {import("./signaling.js").Place | null} [place] */
  #enter(place = null) {
    this.#redraw({ welcomed: false });
    this.#signaling.start(place);
  }

  #cancel() {
    if (!this.#finding.underway) return this.#leave();
    this.#finding.withdraw();
    this.#rest();
    this.#redraw({});
  }

  /** Show the entrance at once, and send the leave as soon as the page is connected. */
  #leave() {
    this.#leaving.begin(this.#picture.snapshot);
    if (this.#leaving.underway) this.#show(NOWHERE);
  }

  #skip() {
    const { session } = this.#encounter;
    if (session === null) return;
    let told = false;
    this.#signaling.send({ type: "skip", session }, (fate) => {
      if (fate !== "waits" || told) return;
      told = true;
      this.#view.say("Skip will be done as soon as the connection is back.");
    });
  }

  /** @param {boolean} on */
  #ring(on) {
    this.#sounds.switch(on);
    this.#redraw({ ring: on });
  }

  /**
   * The page is being closed or reloaded. The browser closes the socket with 1001, which tells the server. In a call the
   * server keeps the actor for a moment, so a reloaded page can resume it.
   */
  #hide() {
    const { place } = this.#signaling;
    if (this.#encounter.session !== null && place) this.#identity.keepPlace(place);
  }

  // Frames of the server

  /** @param {ServerFrame} frame */
  #hear(frame) {
    switch (frame.type) {
      case "welcome":
        this.#welcomed(frame);
        break;
      case "state":
        if (!this.#leaving.covers(frame)) this.#take(frame);
        break;
      case "signal":
        this.#encounter.hear(frame);
        break;
      case "chat":
        this.#talk.hear(frame);
        break;
      case "partner":
        this.#partnerChanged(frame);
        break;
      case "presence":
        this.#redraw({ presence: frame });
        break;
      case "error":
        this.#refused(frame);
        break;
      default:
      // A newer server may send frames that this page does not know.
    }
    this.#heard_at = Date.now();
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #welcomed({ ice_servers, user, resume, resumed, token, build }) {
    this.#version.hear(build);
    const { welcomed, snapshot } = this.#picture;
    this.#encounter.iceServers = ice_servers;
    if (token) this.#identity.renew(token, user);
    this.#redraw({ welcomed: true, name: user.name });
    const back = this.#encounter.returns;
    this.#encounter.returns = back && resumed;
    if (resumed) return this.#encounter.resync();
    if (back) return this.#view.say("The call that you were in is over.");
    if (welcomed && snapshot.state !== "idle") this.#placeLost(snapshot, resume.grace_ms);
  }

  /** The server has a new actor for this page: a search begins again, a session is over. @param {Snapshot} snapshot @param {number} grace_ms */
  #placeLost(snapshot, grace_ms) {
    const why = placeLost(Date.now() - this.#heard_at, grace_ms);
    const searched = snapshot.state === "searching" || (snapshot.state === "ended" && !rests(snapshot));
    this.#view.say(`${why} ${searched ? "Your search begins again." : "Press Find Partner to go on."}`);
    if (searched) this.#search(this.#devices.choice);
  }

  /** @param {Snapshot} told */
  #take(told) {
    const { state, session } = told;
    const { snapshot: before, failedCalls } = this.#picture;
    const message = isolateIn(told.message, before.partner?.name);
    const snapshot = { ...told, message };
    if (state !== "idle" && state !== "ended") this.#finding.begun();
    if (state === "connected") this.#picture.failedCalls = 0;
    const isNews = before.state !== "ended" || before.session !== session;
    if (isNews && mayBeNetwork(told)) this.#picture.failedCalls = failedCalls + 1;
    this.#show(snapshot);
    const stays = state === "ended" && (rests(snapshot) || isLongWait(snapshot)); // the hall shows it then
    if (message && !stays) this.#view.say(message);
  }

  /** Update everything to this snapshot. @param {Snapshot} snapshot */
  #show(snapshot) {
    const { state } = snapshot;
    const together = state === "connecting" || state === "connected";
    this.#sounds.loop(snapshot.sound);
    this.#sounds.cue(snapshot.cue);
    this.#encounter.follow(snapshot);
    this.#talk.follow(snapshot);
    this.#redraw({ snapshot, arrived_at: performance.now() });
    this.#rest();
    const lacks = !this.#devices.inUse && !this.#finding.underway;
    if ((together || state === "searching") && lacks) this.#reopening.begin();
  }

  /** Close the devices when there is neither a search nor a session. */
  #rest() {
    const { snapshot } = this.#picture;
    const isOver = snapshot.state === "idle" || rests(snapshot);
    if (!isOver || this.#finding.underway) return;
    this.#reopening.stop();
    this.#devices.close();
  }

  /** @param {import("./protocol.js").PartnerChanged} frame */
  #partnerChanged({ session, away }) {
    const { snapshot } = this.#picture;
    if (session !== snapshot.session || !snapshot.partner) return;
    this.#redraw({ snapshot: { ...snapshot, partner: { ...snapshot.partner, away } } });
  }

  /** @param {import("./protocol.js").Error} error */
  #refused({ code, message, about }) {
    if (about === "search") this.#finding.refused();
    // `not_now`: the person pressed a moment too late; the next snapshot shows the state.
    if (code !== "not_now") this.#view.say(message);
  }

  /** @param {import("./signaling.js").Link} link */
  #linkChanged(link) {
    const { welcomed } = this.#picture;
    const down = link.status === "waiting" || link.status === "connecting";
    if (down && welcomed) this.#waits.begin("link");
    if (!down) this.#waits.end("link");
    this.#redraw({ link });
    if (link.status !== "stopped") return;
    this.#finding.withdraw();
    this.#leaving.stop();
    this.#show(NOWHERE);
    this.#redraw({ problem: null, presence: null, welcomed: false });
  }

  // The picture

  #devicesChanged() {
    this.#encounter.devicesChanged();
    this.#deviceWatch.changed();
    this.#redraw({ sending: this.#devices.sending, choice: this.#devices.choice });
  }

  /** @param {import("./media.js").Problem | null} problem */
  #tellProblem(problem) {
    if (problem) this.#view.say(`${problem.title}. ${problem.advice}`);
  }

  /** @param {Partial<import("./view.js").Picture>} change */
  #redraw(change) {
    const waits = { link: this.#waits.get("link"), mend: this.#waits.get("mend") };
    this.#picture = { ...this.#picture, ...change, waits, step: this.#step() };
    this.#view.draw(this.#picture);
  }

  /** The step that the attempt to search waits for; between two steps, the last one. */
  #step() {
    if (!this.#finding.underway) return null;
    return STEPS.find((what) => this.#waits.get(what) !== null) ?? this.#picture.step ?? "guest";
  }
}

await new Page().open();
