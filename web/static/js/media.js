/**
 * This person's camera and microphone, and what the person wants of them.
 * It owns the local tracks: opened when somebody looks for a partner, stopped when nobody does. What was switched off
 * stays off until the person switches it on again, over skips, ends and visits; what went away by itself while it was
 * in use is remembered, so that it can be opened again. No call and no drawing here.
 */

import { recall, remember } from "./preferences.js";
import { describe } from "./problems.js";
import { browserClock } from "./waits.js";

/** @typedef {import("./problems.js").Device} Device */
/** @typedef {import("./problems.js").Problem} Problem */
/** @typedef {import("./problems.js").Reason} Reason */
/** @typedef {import("./problems.js").Want} Want */

/** A study partner needs a face, not a cinema; and half the phones out there encode this without getting warm. */
const VIDEO = {
  width: { ideal: 960 },
  height: { ideal: 540 },
  frameRate: { ideal: 24, max: 30 },
  facingMode: "user",
};
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

const KINDS = /** @type {const} */ (["audio", "video"]);
/** @type {Readonly<Want>} */
const NOTHING = { audio: false, video: false };
/** Under load a camera may pause for a second or two. One that is mute for longer was muted by something. */
const SILENCE_MS = 3_000;

/** What browsers call it. Firefox says AbortError where others say NotReadableError. @type {Record<string, Reason>} */
const REASONS = {
  NotReadableError: "busy",
  AbortError: "busy",
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};

export class Devices {
  #mediaDevices;
  #secure;
  #onChange;
  #clock;
  #stream = new MediaStream();
  /** @type {Want} */
  #choice;
  #inUse = false;
  /** What went away by itself while it was in use, and is still wanted. */
  #lost = NOTHING;
  /** What is open and gives nothing. */
  #silent = NOTHING;
  /** @type {{ audio: any, video: any }} */
  #silences = { audio: null, video: null };
  /** Rises with every closing, so that a device that opens too late is closed again at once. */
  #era = 0;

  /**
   * @param {() => void} onChange a track came, went, or was switched on or off
   * @param {MediaDevices | undefined} mediaDevices undefined on a page that is not secure
   * @param {boolean} secure
   * @param {import("./waits.js").Clock} clock
   */
  constructor(
    onChange,
    mediaDevices = navigator.mediaDevices,
    secure = isSecureContext,
    clock = browserClock(),
  ) {
    this.#onChange = onChange;
    this.#clock = clock;
    this.#mediaDevices = mediaDevices;
    this.#secure = secure;
    const kept = recall("devices");
    this.#choice = { audio: kept?.audio !== false, video: kept?.video !== false };
  }

  /** What this person wants to be seen and heard by. */
  get choice() {
    return this.#choice;
  }

  /** Have they been opened, and not closed since? */
  get inUse() {
    return this.#inUse;
  }

  /** What is seen and heard of this person: one stream for as long as the page lives. */
  get stream() {
    return this.#stream;
  }

  /** @returns {import("./peer.js").Tracks} */
  get tracks() {
    return {
      audio: this.#stream.getAudioTracks()[0] ?? null,
      video: this.#stream.getVideoTracks()[0] ?? null,
    };
  }

  /** What is being sent: a muted microphone is none. @returns {import("./flow.js").Sending} */
  get sending() {
    const { audio, video } = this.tracks;
    return { audio: audio !== null && this.#choice.audio, video: video !== null };
  }

  /** What went away by itself while it was in use (it was unplugged, or another program took it), and is still wanted. */
  get lost() {
    return this.#lost;
  }

  /** What is switched on here, but muted by the device, the system or the browser. @returns {Want} */
  get silenced() {
    const { audio, video } = this.sending;
    return { audio: audio && this.#silent.audio, video: video && this.#silent.video };
  }

  /** What the partner is told of it: what is silenced neither. @returns {import("./flow.js").Sending} */
  get told() {
    const { sending, silenced } = this;
    return { audio: sending.audio && !silenced.audio, video: sending.video && !silenced.video };
  }

  /**
   * Have open what is wanted, and nothing else.
   * @param {Want} want
   * @returns {Promise<Problem | null>} null: it is open
   */
  async open(want) {
    const { audio, video } = this.tracks;
    if (audio && !want.audio) this.#remove(audio);
    if (video && !want.video) this.#remove(video);
    this.#inUse = true;
    this.#onChange();
    const lacking = { audio: want.audio && !audio, video: want.video && !video };
    if (!lacking.audio && !lacking.video) return null;
    const era = this.#era;
    const reason = await this.#add(lacking);
    if (reason === null || era !== this.#era) return null;
    const problem = describe(reason, want, await this.#culprit(reason, lacking));
    if (era === this.#era) this.close();
    return problem;
  }

  /**
   * @param {boolean} on
   * @returns {Promise<Problem | null>} a microphone that was not there until now may still not open
   */
  async setMicrophone(on) {
    this.#choose({ ...this.#choice, audio: on });
    const { audio } = this.tracks;
    if (audio) audio.enabled = on;
    this.#onChange();
    if (!on || audio || !this.#inUse) return null;
    const reason = await this.#add({ audio: true, video: false });
    return reason && describe(reason, { audio: true, video: false }, "microphone");
  }

  /**
   * Off means off: the device is let go of, and its light goes out.
   * @param {boolean} on
   * @returns {Promise<Problem | null>}
   */
  async setCamera(on) {
    this.#choose({ ...this.#choice, video: on });
    const { video } = this.tracks;
    if (video && !on) this.#remove(video);
    this.#onChange();
    if (!on || video || !this.#inUse) return null;
    const reason = await this.#add({ audio: false, video: true });
    return reason && describe(reason, { audio: false, video: true }, "camera");
  }

  /** Try to open again what went away. That it is still gone is no news; after a refusal it is not asked for again. */
  async regain() {
    for (const kind of KINDS) {
      if (!this.#lost[kind]) continue;
      const reason = await this.#add({ ...NOTHING, [kind]: true });
      if (reason === "refused") this.#lost = { ...this.#lost, [kind]: false };
    }
  }

  /** @param {Want} choice */
  #choose(choice) {
    this.#choice = choice;
    this.#lost = { audio: this.#lost.audio && choice.audio, video: this.#lost.video && choice.video };
    remember("devices", choice);
  }

  /** Let go of every device. */
  close() {
    if (!this.#inUse) return;
    this.#era += 1;
    this.#inUse = false;
    this.#lost = NOTHING;
    for (const track of this.#stream.getTracks()) this.#remove(track);
    this.#onChange();
  }

  /**
   * @param {Want} want
   * @returns {Promise<Reason | null>}
   */
  async #add(want) {
    if (!this.#mediaDevices || !this.#secure) return "insecure";
    const era = this.#era;
    let stream;
    try {
      stream = await this.#mediaDevices.getUserMedia({
        audio: want.audio && AUDIO,
        video: want.video && VIDEO,
      });
    } catch (error) {
      return REASONS[error instanceof Error ? error.name : ""] ?? "broken";
    }
    for (const track of stream.getTracks()) {
      // Too late, or asked for twice: one of a kind is enough.
      // Or switched off while the browser asked.
      const kind = kindOf(track);
      if (era === this.#era && !this.tracks[kind] && this.#choice[kind]) this.#keep(track);
      else track.stop();
    }
    this.#onChange();
    return null;
  }

  /** @param {MediaStreamTrack} track */
  #keep(track) {
    const kind = kindOf(track);
    this.#lost = { ...this.#lost, [kind]: false };
    this.#stream.addTrack(track);
    track.onended = () => this.#lose(track);
    track.onmute = track.onunmute = () => this.#heed(track);
    if (track.muted) this.#heed(track);
  }

  /** @param {MediaStreamTrack} track */
  #lose(track) {
    const kind = kindOf(track);
    this.#remove(track);
    this.#lost = { ...this.#lost, [kind]: this.#choice[kind] };
    this.#onChange();
  }

  /** It was muted from outside, or is not any more. @param {MediaStreamTrack} track */
  #heed(track) {
    const kind = kindOf(track);
    this.#clock.clearTimeout(this.#silences[kind]);
    if (!track.muted) return this.#silence(kind, false);
    this.#silences[kind] = this.#clock.setTimeout(() => this.#silence(kind, true), SILENCE_MS);
  }

  /** @param {"audio" | "video"} kind @param {boolean} silent */
  #silence(kind, silent) {
    if (this.#silent[kind] === silent) return;
    this.#silent = { ...this.#silent, [kind]: silent };
    this.#onChange();
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    const kind = kindOf(track);
    this.#clock.clearTimeout(this.#silences[kind]);
    this.#silent = { ...this.#silent, [kind]: false };
    track.onended = track.onmute = track.onunmute = null;
    track.stop();
    this.#stream.removeTrack(track);
  }

  /**
   * Both were wanted and did not open: which one is to blame? Not asked after a refusal, since asking again
   * may bring up the browser's question again.
   * @param {Reason} reason
   * @param {Want} want
   * @returns {Promise<Device>}
   */
  async #culprit(reason, want) {
    if (!want.video) return "microphone";
    if (!want.audio) return "camera";
    if (reason === "insecure" || reason === "refused") return "both";
    if (await this.#opens({ audio: true, video: false })) return "camera";
    if (await this.#opens({ audio: false, video: true })) return "microphone";
    return "both";
  }

  /** @param {Want} want */
  async #opens(want) {
    try {
      const stream = await this.#mediaDevices?.getUserMedia({ audio: want.audio, video: want.video });
      for (const track of stream?.getTracks() ?? []) track.stop();
      return true;
    } catch {
      return false;
    }
  }
}

/** @param {MediaStreamTrack} track */
function kindOf({ kind }) {
  return kind === "audio" ? "audio" : "video";
}
