/**
 * This person's camera and microphone, and which of them the person wants to use.
 * It owns the local tracks: it opens them when the person searches, and stops them when they neither search nor have a
 * partner. A device that was switched off stays off until the person switches it on, also in later sessions and visits.
 * A device that was lost while in use is remembered, so that it can be reopened. It neither calls nor draws.
 */

import { recall, remember } from "./preferences.js";
import { describe } from "./problems.js";
import { browserClock } from "./waits.js";

/** @typedef {import("./problems.js").Device} Device */
/** @typedef {import("./problems.js").Problem} Problem */
/** @typedef {import("./problems.js").Reason} Reason */
/** @typedef {import("./problems.js").Want} Want */

/** Enough to see a face, and little enough for common phones to encode without overheating. */
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
/** Under load a camera may pause for a second or two. A longer `mute` comes from the device, system or browser. */
const SILENCE_MS = 3_000;

/** The reasons by name of the error. Firefox throws AbortError where others throw NotReadableError. @type {Record<string, Reason>} */
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
  /** Devices that were lost while in use, and are still wanted. */
  #lost = NOTHING;
  /** Devices that are open and muted from outside. */
  #silent = NOTHING;
  /** @type {{ audio: any, video: any }} */
  #silences = { audio: null, video: null };
  /** Increases with every `close`, so that a device that opens after it is closed at once. */
  #era = 0;

  /**
   * @param {() => void} onChange a track was added, removed, or switched on or off
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

  /** The devices that the person wants to use. */
  get choice() {
    return this.#choice;
  }

  /** Have they been opened, and not closed since? */
  get inUse() {
    return this.#inUse;
  }

  /** The stream with the open tracks; the same object as long as the page is open. */
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

  /** The media being sent; a muted microphone does not count. @returns {import("./flow.js").Sending} */
  get sending() {
    const { audio, video } = this.tracks;
    return { audio: audio !== null && this.#choice.audio, video: video !== null };
  }

  /** Devices that were lost while in use (unplugged, or taken by another program), and are still wanted. */
  get lost() {
    return this.#lost;
  }

  /** Devices that are switched on here, but muted by the device, the system or the browser. @returns {Want} */
  get silenced() {
    const { audio, video } = this.sending;
    return { audio: audio && this.#silent.audio, video: video && this.#silent.video };
  }

  /** The media to announce to the partner: sent and not silenced. @returns {import("./flow.js").Sending} */
  get told() {
    const { sending, silenced } = this;
    return { audio: sending.audio && !silenced.audio, video: sending.video && !silenced.video };
  }

  /**
   * Open the wanted devices, and close the others.
   * @param {Want} want
   * @returns {Promise<Problem | null>} null: they are open
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
   * @returns {Promise<Problem | null>} if the microphone had to be opened and could not
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
   * Switching off closes the camera, so its light goes out.
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

  /** Try to reopen lost devices. A failure is not reported; after a refusal, the device is not tried again. */
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

  /** Close every device. */
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
      // Stop a track that came after `close`, is the second of its kind, or was switched off in the meantime.
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

  /** A track was muted from outside, or unmuted. @param {MediaStreamTrack} track */
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
   * Both devices were wanted and did not open: find the one that failed. After a refusal it does not try, since that may
   * show the browser's prompt again.
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
