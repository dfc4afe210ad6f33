import { FakeClock, settle } from "./clock.js";

/** A MediaStream that only remembers its tracks. */
export class FakeStream {
  /** @type {any[]} */
  #tracks = [];
  getTracks = () => [...this.#tracks];
  getAudioTracks = () => this.#tracks.filter(({ kind }) => kind === "audio");
  getVideoTracks = () => this.#tracks.filter(({ kind }) => kind === "video");
  /** @param {any} track */
  addTrack = (track) => void this.#tracks.push(track);
  /** @param {any} track */
  removeTrack = (track) => void this.#tracks.splice(this.#tracks.indexOf(track), 1);
}

/** @param {"audio" | "video"} kind */
function line(kind) {
  return {
    receiver: { track: { kind } },
    direction: "recvonly",
    sender: {
      track: /** @type {any} */ (null),
      setStreams() {},
      /** @param {any} track */
      async replaceTrack(track) {
        this.track = track;
      },
    },
  };
}

/** Real descriptions are told apart by their text, and so are these. */
let descriptions = 0;

/**
 * The signaling half of an RTCPeerConnection, as W3C WebRTC section 4.7 has it: the states, the implicit rollback,
 * and negotiationneeded only in the stable state. Whether it is connected is up to the test.
 */
export class FakeConnection {
  signalingState = "stable";
  connectionState = "new";
  closed = false;
  /** @type {any} */
  localDescription = null;
  /** @type {any} */
  remoteDescription = null;
  /** @type {any[]} */
  candidates = [];
  /** @type {any[]} */
  stats = [];
  /** @type {any} */
  onnegotiationneeded = null;
  /** @type {any} */
  onicecandidate = null;
  /** @type {any} */
  ontrack = null;
  /** @type {any} */
  onconnectionstatechange = null;
  restarts = 0;
  #needed = false;
  /** @type {any[]} */
  #lines = [];

  /** @param {any} configuration */
  constructor(configuration) {
    this.configuration = configuration;
  }

  getTransceivers = () => this.#lines;
  getStats = async () => new Map(this.stats.map((report, index) => [index, report]));

  /** @param {any} trackOrKind @param {any} init */
  addTransceiver(trackOrKind, init) {
    const added = line(trackOrKind.kind ?? trackOrKind);
    added.sender.track = trackOrKind.kind ? trackOrKind : null;
    added.direction = init.direction;
    this.#lines.push(added);
    this.#need();
  }

  restartIce() {
    this.restarts += 1;
    this.#need();
  }

  async setLocalDescription() {
    const type = this.signalingState === "have-remote-offer" ? "answer" : "offer";
    await null;
    const answers = type === "answer" ? this.remoteDescription.sdp : null;
    this.localDescription = { type, sdp: `${type} ${++descriptions}`, answers };
    this.#needed = false; // an answer with new credentials covers a restart of ours, too
    this.#go(type === "answer" ? "stable" : "have-local-offer");
  }

  /** @param {any} description */
  async setRemoteDescription(description) {
    await null;
    if (!description?.sdp) throw new TypeError("expected a description");
    if (description.sdp.startsWith("garbage")) throw new Error("OperationError");
    if (description.type === "answer" && this.signalingState !== "have-local-offer") {
      throw new Error("InvalidStateError");
    }
    if (description.type === "offer" && this.signalingState === "have-local-offer") this.#needed = true; // rolled back
    this.remoteDescription = description;
    if (this.#lines.length === 0) this.#lines.push(line("audio"), line("video"));
    for (const { receiver } of this.#lines) this.ontrack?.({ track: receiver.track });
    this.#go(description.type === "answer" ? "stable" : "have-remote-offer");
  }

  /** @param {any} candidate */
  async addIceCandidate(candidate) {
    await null;
    if (!this.remoteDescription || candidate.candidate === "bad") throw new Error("OperationError");
    this.candidates.push(candidate);
  }

  close() {
    this.closed = true;
    this.signalingState = "closed";
  }

  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  #need() {
    if (this.#needed) return;
    this.#needed = true;
    this.#notify();
  }

  /** @param {string} state */
  #go(state) {
    this.signalingState = state;
    if (state === "stable") this.#notify();
  }

  #notify() {
    queueMicrotask(() => {
      if (this.#needed && this.signalingState === "stable") this.onnegotiationneeded?.();
    });
  }
}

/** What a peer needs, in the hands of a test. */
export class FakeRtc {
  clock = new FakeClock();
  /** @type {FakeConnection[]} */
  connections = [];

  /** @returns {any} */
  get environment() {
    const { connections } = this;
    return {
      RTCPeerConnection: class extends FakeConnection {
        /** @param {any} configuration */
        constructor(configuration) {
          super(configuration);
          connections.push(this);
        }
      },
      MediaStream: FakeStream,
      setTimeout: this.clock.setTimeout,
      clearTimeout: this.clock.clearTimeout,
      now: this.clock.now,
    };
  }
}

export { settle };
