/**
 * This person's camera and microphone, and their failures in plain English.
 * It owns the local tracks: opened when somebody looks for a partner, stopped when nobody does. No call and no
 * drawing here.
 */

/** @typedef {"camera" | "microphone" | "both"} Device */
/** @typedef {"busy" | "refused" | "missing" | "insecure" | "broken"} Reason */
/** @typedef {{ audio: boolean, video: boolean }} Want */

/**
 * Why a device did not open, what to do about it, and what one can go on with instead.
 * @typedef {object} Problem
 * @property {Device} device
 * @property {Reason} reason
 * @property {string} title
 * @property {string} advice
 * @property {Want} fallback
 * @property {string} fallbackLabel
 */

/** A study partner needs a face, not a cinema; and half the phones out there encode this without getting warm. */
const VIDEO = {
  width: { ideal: 960 },
  height: { ideal: 540 },
  frameRate: { ideal: 24, max: 30 },
  facingMode: "user",
};
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** What browsers call it. Firefox says AbortError where others say NotReadableError. @type {Record<string, Reason>} */
const REASONS = {
  NotReadableError: "busy",
  AbortError: "busy",
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};

/** @type {Record<Device, string>} */
const NAMES = { camera: "camera", microphone: "microphone", both: "camera and microphone" };

export class Devices {
  #mediaDevices;
  #secure;
  #onChange;
  #stream = new MediaStream();
  #muted = false;
  /** Rises with every closing, so that a device that opens too late is closed again at once. */
  #era = 0;

  /**
   * @param {() => void} onChange a track came, went, or was switched on or off
   * @param {MediaDevices | undefined} mediaDevices undefined on a page that is not secure
   * @param {boolean} secure
   */
  constructor(onChange, mediaDevices = navigator.mediaDevices, secure = isSecureContext) {
    this.#onChange = onChange;
    this.#mediaDevices = mediaDevices;
    this.#secure = secure;
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
    return { audio: audio !== null && !this.#muted, video: video !== null };
  }

  /**
   * Open what is wanted, in place of what was open.
   * @param {Want} want
   * @returns {Promise<Problem | null>} null: it is open
   */
  async open(want) {
    this.close();
    if (!want.audio && !want.video) return null;
    const reason = await this.#add(want);
    return reason === null ? null : describe(reason, want, await this.#culprit(reason, want));
  }

  /**
   * @param {boolean} on
   * @returns {Promise<Problem | null>} a microphone that was not there until now may still not open
   */
  async setMicrophone(on) {
    const { audio } = this.tracks;
    if (on && !audio) {
      const reason = await this.#add({ audio: true, video: false });
      if (reason !== null) return describe(reason, { audio: true, video: false }, "microphone");
    }
    this.#muted = !on;
    if (audio) audio.enabled = on;
    this.#onChange();
    return null;
  }

  /**
   * Off means off: the device is let go of, and its light goes out.
   * @param {boolean} on
   * @returns {Promise<Problem | null>}
   */
  async setCamera(on) {
    const { video } = this.tracks;
    if (on && !video) {
      const reason = await this.#add({ audio: false, video: true });
      if (reason !== null) return describe(reason, { audio: false, video: true }, "camera");
    } else if (!on && video) {
      this.#remove(video);
      this.#onChange();
    }
    return null;
  }

  /** Let go of every device. */
  close() {
    this.#era += 1;
    this.#muted = false;
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
      const kept = this.tracks[track.kind === "audio" ? "audio" : "video"];
      if (era === this.#era && !kept) this.#keep(track);
      else track.stop();
    }
    this.#onChange();
    return null;
  }

  /** @param {MediaStreamTrack} track */
  #keep(track) {
    this.#stream.addTrack(track);
    track.onended = () => {
      this.#remove(track);
      this.#onChange();
    };
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    track.onended = null;
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

/**
 * @param {Reason} reason
 * @param {Want} want what was asked for
 * @param {Device} device what is to blame
 * @returns {Problem}
 */
export function describe(reason, want, device) {
  const fallback = without(reason, want, device);
  return {
    device,
    reason,
    ...sentences(reason, NAMES[device]),
    fallback,
    fallbackLabel: label(fallback),
  };
}

/**
 * A refusal is mostly about the camera: the microphone alone is still worth a question.
 * @param {Reason} reason
 * @param {Want} want
 * @param {Device} device
 * @returns {Want}
 */
function without(reason, want, device) {
  if (device === "both") return { audio: reason === "refused" && want.audio, video: false };
  return { audio: want.audio && device !== "microphone", video: want.video && device !== "camera" };
}

/** @param {Want} fallback */
function label(fallback) {
  if (fallback.audio) return "Continue without camera";
  if (fallback.video) return "Continue without microphone";
  return "Continue without camera and microphone";
}

/**
 * @param {Reason} reason
 * @param {string} device
 * @returns {{ title: string, advice: string }}
 */
function sentences(reason, device) {
  const are = device.includes("and") ? "are" : "is";
  switch (reason) {
    case "busy":
      return {
        title: `Your ${device} ${are} busy`,
        advice: "Another program or browser tab is using it. Close that call or program, then try again.",
      };
    case "refused":
      return {
        title: `Your ${device} ${are} blocked`,
        advice:
          "The browser was told not to share with this page. Click the icon beside the address, allow it, then try again.",
      };
    case "missing":
      return {
        title: `No ${device} found`,
        advice: "Plug one in or switch it on, then try again.",
      };
    case "insecure":
      return {
        title: "Cameras need a secure page",
        advice:
          "Browsers share a camera or microphone only with pages whose address begins with https:// (or on localhost). Open this page that way.",
      };
    default:
      return {
        title: `Your ${device} did not start`,
        advice: "Unplug it and plug it in again, or restart the browser, then try again.",
      };
  }
}
