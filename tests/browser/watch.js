/**
 * Runs in a tab before the page does, and watches what the page opens, plays and starts: `watch.quiet()` tells what
 * of it still runs. It also stands between the page and its WebSocket, to drop or lose things like a bad network.
 * Orders that hold from before the page starts are in the fragment of its address, as JSON.
 */
const watch = {
  /** @type {string[]} what data-state went through */
  states: [],
  /** @type {any[]} every frame that came */
  frames: [],
  /** @type {any[]} every frame that the page sent */
  said: [],
  /** @type {any[]} */
  sockets: [],
  /** @type {RTCPeerConnection[]} */
  connections: [],
  /** The connections that were used: the page makes one before each search, to see whether it can. @type {Set<RTCPeerConnection>} */
  used: new Set(),
  /** @type {MediaStreamTrack[]} */
  tracks: [],
  /** @type {MediaStreamTrack[]} copies of these */
  copies: [],
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
  /** The type of frame, or the kind of signal, that is lost together with the line, once. @type {string | null} */
  loses: null,
  /** Frames of this type never reach the server. @type {string | null} */
  swallows: null,
  /** While it is true, no call can be negotiated, as between browsers that have no codec in common. */
  discord: false,
  /** Devices that fail: by kind, the name of the error. @type {{ audio?: string, video?: string }} */
  failures: {},
  /** While it is true, nothing plays, as before the first click on a strict browser. */
  mute: false,
  /** What hangs from now on, until `goOn`: a request for a guest, or for devices. @type {"guest" | "devices" | null} */
  hangs: null,
  /** Timers of this length stand still until `goOn`. @type {number | null} */
  stops: null,
  /** @type {(() => Promise<void>)[]} what hangs or stands still */
  stuck: [],
  /** What the browser's locks do, instead of what they should. @type {"reject" | "hang" | null} */
  locks: null,
  /** Is storage blocked? In orders before the page starts. */
  blocked: false,
  /** Is there no WebRTC at all? In orders before the page starts. */
  unable: false,
  /** Does the browser know no modules? In orders before the page starts. */
  old: false,
  /** While it is true, no connection can be made. */
  throws: false,

  /** What hangs or stands still goes on, to its end. */
  async goOn() {
    await Promise.all(watch.stuck.splice(0).map((act) => act()));
  },

  drop: () => watch.sockets.at(-1).close(),
  /** Have the page hear this, as if the server had said it. @param {object} frame */
  hear: (frame) => watch.sockets.at(-1).onmessage({ data: JSON.stringify(frame) }),
  /** Keep from the page what comes, until `hearAll`. */
  deafen() {
    const socket = watch.sockets.at(-1);
    const hear = socket.onmessage;
    /** @type {any[]} */
    const late = [];
    socket.onmessage = (/** @type {any} */ event) => late.push(event);
    watch.hearAll = () => {
      socket.onmessage = hear;
      for (const event of late) hear(event);
    };
  },
  hearAll() {},
  /** The server hangs up. @param {number} code */
  hangUp: (code) => watch.sockets.at(-1).onclose({ code }),

  /** Send the partner this signal so often a second, for so long, past the page. @param {any[]} signals @param {number} per_s @param {number} for_s */
  async pester(signals, per_s, for_s) {
    const session = watch.frames.findLast(({ type }) => type === "state").session;
    for (let time = 0; time < per_s * for_s; time++) {
      const data = signals[time % signals.length];
      sendPastThePage.call(watch.sockets.at(-1), JSON.stringify({ type: "signal", session, data }));
      await new Promise((resolve) => setTimeout(resolve, 1000 / per_s));
    }
  },

  quiet() {
    return {
      tracks: watch.tracks.filter(({ readyState }) => readyState === "live").length,
      copies: watch.copies.filter(({ readyState }) => readyState === "live").length,
      connections: watch.connections.filter(({ connectionState }) => connectionState !== "closed").length,
      playing: [...watch.played].filter(({ paused, ended }) => !paused && !ended).length,
      shown: [...document.querySelectorAll("video")].filter(({ srcObject }) => srcObject !== null).length,
      intervals: watch.intervals.size,
    };
  },

  calls: () => [...watch.used],

  /** What has arrived from the partner, over the newest connection, and the number of that one. */
  async received() {
    const counts = { connection: watch.connections.length, audio: 0, video: 0 };
    const connection = /** @type {WatchedConnection | undefined} */ (watch.connections.at(-1));
    // Firefox never answers for a connection that is closed meanwhile.
    const reports = await Promise.race([connection?.getStats(), connection?.closing]);
    for (const report of reports?.values() ?? []) {
      if (report.type !== "inbound-rtp") continue;
      if (report.kind === "audio") counts.audio += report.packetsReceived;
      if (report.kind === "video") counts.video += report.framesDecoded;
    }
    return counts;
  },
};

const sendPastThePage = WebSocket.prototype.send;

Object.assign(window, { watch });
Object.assign(watch, JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}"));

/** Do it, but later if such a thing hangs. @template T @param {string} what @param {() => Promise<T>} act @returns {Promise<T>} */
function orHang(what, act) {
  if (watch.hangs !== what) return act();
  return new Promise((resolve) => watch.stuck.push(async () => resolve(await act())));
}

if (watch.old) delete (/** @type {any} */ (HTMLScriptElement.prototype).noModule);

function refuse() {
  throw new DOMException("as the test wants it", "SecurityError");
}
if (watch.blocked) {
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get: refuse });
}

if (navigator.locks) {
  const request = navigator.locks.request.bind(navigator.locks);
  navigator.locks.request = async (/** @type {any[]} */ ...wish) => {
    if (watch.locks === "reject") refuse();
    if (watch.locks === "hang") return new Promise(() => {});
    return /** @type {any} */ (request)(...wish);
  };
}

const realFetch = window.fetch;
window.fetch = (...wish) => orHang("guest", () => realFetch(...wish));

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
    watch.said.push(JSON.parse(text));
    if (resume && watch.forgets) {
      return super.send(JSON.stringify({ ...JSON.parse(text), resume: { ...resume, key: "lost" } }));
    }
    if (type === "connected" && watch.withholds) return;
    if (type === watch.swallows) return;
    if (watch.loses === null || (type !== watch.loses && data?.kind !== watch.loses)) return super.send(text);
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
  /** @type {() => void} */
  #told = () => {};
  /** Fulfilled when the page closes it. @type {Promise<void>} */
  closing = new Promise((resolve) => (this.#told = resolve));

  /** @param {RTCConfiguration} configuration */
  constructor(configuration) {
    if (watch.throws) throw new DOMException("as the test wants it", "NotSupportedError");
    super(configuration);
    watch.connections.push(this);
  }

  close() {
    super.close();
    this.#told();
  }

  async setLocalDescription() {
    watch.used.add(this);
    return super.setLocalDescription();
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
  RTCPeerConnection: watch.unable ? undefined : WatchedConnection,
});

/**
 * A small, slow picture, and sound that nobody cleans, so that two cores suffice for the calls of all tabs.
 * @param {MediaStreamConstraints} want
 */
function cheaper({ audio, video }) {
  const picture = { width: { ideal: 160 }, height: { ideal: 90 }, frameRate: { ideal: 5, max: 10 } };
  const sound = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return {
    ...(video && { video: typeof video === "object" ? { ...video, ...picture } : picture }),
    ...(audio && { audio: typeof audio === "object" ? { ...audio, ...sound } : sound }),
  };
}

const clone = MediaStreamTrack.prototype.clone;
MediaStreamTrack.prototype.clone = function () {
  const copy = clone.call(this);
  watch.copies.push(copy);
  return copy;
};

if (navigator.mediaDevices) {
  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (want = {}) => {
    const kinds = /** @type {const} */ (["audio", "video"]).filter((kind) => want[kind]);
    watch.asked.push(kinds.join("+"));
    const failing = kinds.find((kind) => watch.failures[kind]);
    if (failing) throw new DOMException("as the test wants it", watch.failures[failing]);
    const stream = await orHang("devices", () => getUserMedia(cheaper(want)));
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
const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout } = window;
Object.assign(window, {
  /** @param {() => void} handler @param {number} delay_ms @returns {any} */
  setTimeout(handler, delay_ms) {
    if (delay_ms !== watch.stops) return realSetTimeout(handler, delay_ms);
    const act = async () => handler();
    watch.stuck.push(act);
    return act;
  },
  /** @param {any} timer */
  clearTimeout(timer) {
    if (typeof timer !== "function") return realClearTimeout(timer);
    watch.stuck = watch.stuck.filter((act) => act !== timer);
  },
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
