/**
 * Wires the page together: frames to the picture, the call and the sounds; what people press to frames.
 *
 * The server decides everything about the encounter, so there is no state machine here: each snapshot is taken as
 * it comes, and what belongs to it (the call, the devices, the loop) is made to fit. What is decided here is only
 * what the server cannot know: whether devices open, and under which name to come in.
 */

import { Chat } from "./chat.js";
import { Identity, IdentityError } from "./identity.js";
import { Devices } from "./media.js";
import { Peer } from "./peer.js";
import { Signaling } from "./signaling.js";
import { Sounds } from "./sounds.js";
import { element, View } from "./view.js";

/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */
/** @typedef {import("./protocol.js").Snapshot} Snapshot */
/** @typedef {import("./media.js").Want} Want */

/** Said to somebody who comes back too late to resume, and finds themselves at the entrance. */
const GIVEN_UP =
  "Your connection was gone for too long, so your place was given up. Press Find Partner to go on.";

const EVERYTHING = { audio: true, video: true };

/** What is drawn before the server has said anything. @type {Snapshot} */
const NOWHERE = {
  type: "state",
  seq: 0,
  state: "idle",
  session: null,
  partner: null,
  sound: null,
  cue: null,
  since_ms: 0,
  deadline_ms: null,
  search_again_in: null,
  cause: null,
  message: null,
};

class Page {
  #identity = new Identity();
  #devices = new Devices(() => this.#devicesChanged());
  #sounds = new Sounds(new URL("../sounds/", import.meta.url).href);
  #signaling;
  #view;
  #chat;
  /** @type {Peer | null} */
  #peer = null;
  /** The session of the present peer. @type {string | null} */
  #session = null;
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {import("./view.js").Picture} */
  #picture = {
    snapshot: NOWHERE,
    arrived_at: 0,
    link: { status: "off" },
    welcomed: false,
    presence: null,
    name: "",
    nameProblem: "",
    asking: false,
    problem: null,
    own: this.#devices.stream,
    sending: this.#devices.sending,
    partner: null,
    partnerSending: null,
    interrupted: false,
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
    this.#view = new View(this.#handlers());
    this.#chat = new Chat(element, (text) => this.#say(text));
    this.#listen();
  }

  /** Come in: under the name that this tab had, if it had one. */
  async open() {
    this.#view.offerName(this.#identity.name);
    this.#redraw({ name: this.#identity.name });
    if (await this.#identity.restore()) this.#signaling.start();
  }

  /** @returns {import("./view.js").Handlers} */
  #handlers() {
    return {
      onFind: (name) => this.#find(name),
      onCancel: () => this.#cancel(),
      onSkip: () => this.#session && this.#signaling.send({ type: "skip", session: this.#session }),
      onEnd: () => this.#session && this.#signaling.send({ type: "end", session: this.#session }),
      onMicrophone: async (on) => this.#tellProblem(await this.#devices.setMicrophone(on)),
      onCamera: async (on) => this.#tellProblem(await this.#devices.setCamera(on)),
      onTryAgain: () => this.#search(EVERYTHING),
      onContinueWithout: () => this.#search(this.#picture.problem?.fallback ?? EVERYTHING),
      onNotNow: () => this.#redraw({ problem: null }),
      onUseThisTab: () => this.#signaling.start(),
      onReload: () => location.reload(),
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
    // Closing a tab is a goodbye: say so, rather than have the partner wait for somebody who has gone.
    addEventListener("pagehide", () => this.#leave());
    // A page that the browser kept and brings back has no call and no line any more: start afresh.
    addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
  }

  // What people press

  /** @param {string} name */
  async #find(name) {
    if (this.#picture.asking) return;
    if (!name) return this.#redraw({ nameProblem: "Please enter your name." });
    this.#redraw({ asking: true, nameProblem: "", name });
    if (!(await this.#comeIn(name))) return;
    this.#redraw({ asking: false });
    await this.#search(EVERYTHING);
  }

  /**
   * Be connected under this name.
   * @param {string} name
   * @returns {Promise<boolean>} false: it was refused, and the person was told
   */
  async #comeIn(name) {
    const known = name === this.#identity.name;
    if (known && ["open", "connecting", "waiting"].includes(this.#signaling.status)) return true;
    try {
      await this.#identity.become(name);
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      this.#redraw({ asking: false, nameProblem: error.message });
      return false;
    }
    this.#redraw({ welcomed: false });
    this.#signaling.start();
    return true;
  }

  /**
   * Open the devices, then search: a partner should not sit before somebody who is still being asked.
   * @param {Want} want
   */
  async #search(want) {
    if (this.#picture.asking) return;
    this.#redraw({ asking: true, problem: null });
    const problem = await this.#devices.open(want);
    if (problem) return this.#redraw({ asking: false, problem });
    this.#signaling.send({ type: "search", criteria: {} });
  }

  #cancel() {
    const { state, session } = this.#picture.snapshot;
    if (state === "ended" && session) this.#signaling.send({ type: "end", session });
    else this.#signaling.send({ type: "cancel" });
  }

  /** @param {string} text */
  #say(text) {
    const { state, session } = this.#picture.snapshot;
    if (state !== "connected" || !session) return false;
    this.#signaling.send({ type: "chat", session, text });
    return true;
  }

  #leave() {
    if (this.#session) this.#signaling.send({ type: "end", session: this.#session });
    else if (this.#picture.snapshot.state === "searching") this.#signaling.send({ type: "cancel" });
  }

  // What the server says

  /** @param {ServerFrame} frame */
  #hear(frame) {
    switch (frame.type) {
      case "welcome":
        this.#welcomed(frame);
        break;
      case "state":
        this.#take(frame);
        break;
      case "signal":
        if (frame.session === this.#session) this.#peer?.receive(frame.data);
        break;
      case "chat":
        if (frame.session === this.#session) this.#hearChat(frame.text);
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
      // A newer server may say more than this page knows.
    }
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #welcomed({ ice_servers, user, resumed }) {
    this.#iceServers = ice_servers;
    if (resumed) this.#peer?.resync();
    else if (this.#picture.welcomed && this.#picture.snapshot.state !== "idle") this.#view.say(GIVEN_UP);
    this.#redraw({ welcomed: true, name: user.name });
  }

  /** @param {Snapshot} snapshot */
  #take(snapshot) {
    const { state, session } = snapshot;
    this.#sounds.loop(snapshot.sound);
    this.#sounds.cue(snapshot.cue);
    this.#call(state === "connecting" || state === "connected" ? session : null, snapshot);
    this.#chat.draw(this.#session, state === "connected");
    const rests = snapshot.search_again_in === null;
    if (snapshot.message && !(state === "ended" && rests)) this.#view.say(snapshot.message);
    this.#redraw({
      snapshot,
      arrived_at: performance.now(),
      asking: this.#picture.asking && state !== "searching",
    });
    this.#rest();
  }

  /** The devices are let go of when nobody is looked for and nobody is there. */
  #rest() {
    const { snapshot, asking } = this.#picture;
    const rests =
      snapshot.state === "idle" || (snapshot.state === "ended" && snapshot.search_again_in === null);
    if (rests && !asking) this.#devices.close();
  }

  /** @param {import("./protocol.js").PartnerFrame} frame */
  #partnerChanged({ session, away }) {
    const { snapshot } = this.#picture;
    if (session !== snapshot.session || !snapshot.partner) return;
    this.#redraw({ snapshot: { ...snapshot, partner: { ...snapshot.partner, away } } });
  }

  /** @param {string} text */
  #hearChat(text) {
    const name = this.#picture.snapshot.partner?.name ?? "Your partner";
    this.#chat.hear(name, text);
    this.#view.whisper(`${name} wrote: ${text}`);
  }

  /** @param {import("./protocol.js").ErrorFrame} error */
  #refused({ code, message, about }) {
    if (about === "search") this.#redraw({ asking: false });
    this.#rest();
    // Pressed a moment too late: the next snapshot shows how it is.
    if (code !== "not_now") this.#view.say(message);
  }

  /** @param {import("./signaling.js").Link} link */
  #linkChanged(link) {
    if (link.status === "stopped") {
      this.#call(null, NOWHERE);
      this.#sounds.loop(null);
      this.#devices.close();
      this.#redraw({ link, asking: false, problem: null, presence: null, welcomed: false });
    } else {
      this.#redraw({ link });
    }
  }

  // The call

  /**
   * Be in the call of this session, and in no other.
   * @param {string | null} session
   * @param {Snapshot} snapshot
   */
  #call(session, snapshot) {
    if (session !== this.#session) {
      this.#peer?.close();
      this.#session = session;
      this.#picture = { ...this.#picture, partner: null, partnerSending: null, interrupted: false };
      this.#peer = session === null ? null : this.#meet(session, snapshot.initiator === true);
    } else if (snapshot.state === "connecting" && this.#peer?.flowed && session) {
      // We have said so; but the line dropped since, and it may have been lost.
      this.#signaling.send({ type: "connected", session });
    }
  }

  /**
   * @param {string} session
   * @param {boolean} initiator
   */
  #meet(session, initiator) {
    const options = {
      initiator,
      iceServers: this.#iceServers,
      send: (/** @type {unknown} */ data) => this.#signaling.send({ type: "signal", session, data }),
      onStream: (/** @type {MediaStream} */ partner) => this.#redraw({ partner }),
      onFlow: () => this.#signaling.send({ type: "connected", session }),
      onFailed: (/** @type {string} */ code) => this.#signaling.send({ type: "failed", session, code }),
      onPartnerMedia: (/** @type {import("./flow.js").Sending} */ partnerSending) =>
        this.#redraw({ partnerSending }),
      onInterrupted: (/** @type {boolean} */ interrupted) => this.#redraw({ interrupted }),
    };
    return new Peer(options, this.#devices.tracks, this.#devices.sending);
  }

  #devicesChanged() {
    const { tracks, sending } = this.#devices;
    this.#peer?.replace("audio", tracks.audio);
    this.#peer?.replace("video", tracks.video);
    this.#peer?.tell(sending);
    this.#redraw({ sending });
  }

  /** @param {import("./media.js").Problem | null} problem */
  #tellProblem(problem) {
    if (problem) this.#view.say(`${problem.title}. ${problem.advice}`);
  }

  /** @param {Partial<import("./view.js").Picture>} change */
  #redraw(change) {
    this.#picture = { ...this.#picture, ...change };
    this.#view.draw(this.#picture);
  }
}

await new Page().open();
