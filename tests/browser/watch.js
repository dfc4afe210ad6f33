/**
 * Runs in a tab before the page does, and watches what the page opens, plays and starts: `watch.quiet()` tells what
 * of it still runs. It also stands between the page and its WebSocket, to drop or lose things like a bad network.
 */
const watch = {
  /** @type {string[]} what data-state went through */
  states: [],
  /** @type {any[]} every frame that came */
  frames: [],
  /** @type {any[]} */
  sockets: [],
  /** @type {RTCPeerConnection[]} */
  connections: [],
  /** @type {MediaStreamTrack[]} */
  tracks: [],
  /** @type {Set<HTMLMediaElement>} */
  played: new Set(),
  /** @type {Set<any>} */
  intervals: new Set(),
  /** @type {string[]} the kinds of tracks that were asked for, like "audio+video" */
  asked: [],

  /** While it is true, no socket gets through. */
  held: false,
  /** The state whose announcement drops the line, once. @type {string | null} */
  dropsOn: null,
  /** While it is true, nobody can be resumed: the key is lost. */
  forgets: false,
  /** While it is true, this side never says that its media flows, so a call stays in connecting. */
  withholds: false,
  /** The kind of signal that is lost together with the line, once. @type {string | null} */
  loses: null,
  /** While it is true, no call can be negotiated, as between browsers that have no codec in common. */
  discord: false,
  /** Devices that fail: by kind, the name of the error. @type {{ audio?: string, video?: string }} */
  failures: {},
  /** While it is true, nothing plays, as before the first click on a strict browser. */
  mute: false,

  drop: () => watch.sockets.at(-1).close(),

  quiet() {
    return {
      tracks: watch.tracks.filter(({ readyState }) => readyState === "live").length,
      connections: watch.connections.filter(({ connectionState }) => connectionState !== "closed").length,
      playing: [...watch.played].filter(({ paused, ended }) => !paused && !ended).length,
      shown: [...document.querySelectorAll("video")].filter(({ srcObject }) => srcObject !== null).length,
      intervals: watch.intervals.size,
    };
  },

  /** What has arrived from the partner. */
  async received() {
    const counts = { audio: 0, video: 0 };
    for (const report of (await watch.connections.at(-1)?.getStats())?.values() ?? []) {
      if (report.type !== "inbound-rtp") continue;
      if (report.kind === "audio") counts.audio += report.packetsReceived;
      if (report.kind === "video") counts.video += report.framesDecoded;
    }
    return counts;
  },
};

Object.assign(window, { watch });

new MutationObserver(() => {
  const state = document.body?.dataset.state;
  if (state !== undefined && state !== watch.states.at(-1)) watch.states.push(state);
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });

class WatchedSocket extends WebSocket {
  /** @param {string} url */
  constructor(url) {
    super(url);
    watch.sockets.push(this);
    this.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data);
      watch.frames.push(frame);
      if (frame.type !== "state" || frame.state !== watch.dropsOn) return;
      watch.dropsOn = null;
      this.close();
    });
  }

  /** @param {string} text */
  send(text) {
    const { type, data, resume } = JSON.parse(text);
    if (resume && watch.forgets) {
      return super.send(JSON.stringify({ ...JSON.parse(text), resume: { ...resume, key: "lost" } }));
    }
    if (type === "connected" && watch.withholds) return;
    if (type !== "signal" || watch.loses === null || data.kind !== watch.loses) return super.send(text);
    watch.loses = null;
    this.close();
  }
}

/** A socket on a network that is not there: it fails after a moment, as the real one does, but without a complaint. */
function deadSocket() {
  const socket = { readyState: 0, close() {}, onclose: /** @type {any} */ (null) };
  setTimeout(() => {
    socket.readyState = 3;
    socket.onclose?.({ code: 1006 });
  }, 50);
  return socket;
}

class WatchedConnection extends RTCPeerConnection {
  /** @param {RTCConfiguration} configuration */
  constructor(configuration) {
    super(configuration);
    watch.connections.push(this);
  }

  /** @param {RTCSessionDescriptionInit} description */
  async setRemoteDescription(description) {
    if (watch.discord) throw new DOMException("as the test wants it", "OperationError");
    return super.setRemoteDescription(description);
  }
}

Object.assign(window, {
  WebSocket: new Proxy(WatchedSocket, {
    construct: (target, [url]) => (watch.held ? deadSocket() : new target(url)),
  }),
  RTCPeerConnection: WatchedConnection,
});

if (navigator.mediaDevices) {
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (want = {}) => {
    const kinds = /** @type {const} */ (["audio", "video"]).filter((kind) => want[kind]);
    watch.asked.push(kinds.join("+"));
    const failing = kinds.find((kind) => watch.failures[kind]);
    if (failing) throw new DOMException("as the test wants it", watch.failures[failing]);
    const stream = await getUserMedia(want);
    watch.tracks.push(...stream.getTracks());
    return stream;
  };
}

const realPlay = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  if (watch.mute) return Promise.reject(new DOMException("not before a click", "NotAllowedError"));
  watch.played.add(this);
  return realPlay.call(this);
};

const { setInterval: realSetInterval, clearInterval: realClearInterval } = window;
Object.assign(window, {
  /** @param {TimerHandler} handler @param {number} delay_ms */
  setInterval(handler, delay_ms) {
    const id = realSetInterval(handler, delay_ms);
    watch.intervals.add(id);
    return id;
  },
  /** @param {number} id */
  clearInterval(id) {
    watch.intervals.delete(id);
    realClearInterval(id);
  },
});
