import assert from "node:assert/strict";
import { test } from "node:test";

import { Screens } from "../../web/static/js/screens.js";
import { FakeClock, settle } from "./support/clock.js";
import { FakeStream } from "./support/rtc.js";

class LiveStream extends FakeStream {
  /** @param {any[]} tracks */
  constructor(tracks = []) {
    super();
    for (const track of tracks) this.addTrack(track);
  }

  active = true;
}

const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
const root = new EventTarget();
Object.assign(globalThis, {
  MediaStream: LiveStream,
  document: page,
  addEventListener: root.addEventListener.bind(root),
});

class FakeVideo {
  hidden = false;
  paused = true;
  plays = 0;
  blocked = false;
  /** @type {any} */
  srcObject = null;
  /** @type {any} */
  onpause = null;
  classList = { toggle() {} };

  async play() {
    if (this.blocked) throw new DOMException("not before a click", "NotAllowedError");
    this.plays += 1;
    this.paused = false;
  }

  /** The browser pauses it. */
  pause() {
    this.paused = true;
    this.onpause();
  }
}

/** Two in a call, whose pictures play. */
async function call() {
  /** @type {Record<string, FakeVideo>} */
  const elements = {};
  const clock = new FakeClock();
  const screens = new Screens((id) => (elements[id] ??= new FakeVideo()), clock.now);
  const partner = new LiveStream();
  const both = { audio: true, video: true };
  const picture = { own: new LiveStream(), sending: both, partner, partnerSending: both };
  screens.draw(/** @type {any} */ ({ ...picture, snapshot: { state: "connected" } }), "call");
  await settle();
  const offered = () => elements["allow-sound"]?.hidden === false;
  return {
    video: /** @type {FakeVideo} */ (elements["partner-video"]),
    own: elements["self-video"],
    clock,
    offered,
  };
}

/** @param {EventTarget} where @param {string} event */
async function happens(where, event) {
  where.dispatchEvent(new Event(event));
  await settle();
}

test("what the browser pauses is played again", async () => {
  const { video, own, offered } = await call();
  for (const screen of [video, own]) screen?.pause();
  await settle();
  assert.deepEqual([video.paused, own?.paused, offered()], [false, false, false]);
});

test("what has ended stays paused", async () => {
  const { video, offered } = await call();
  video.srcObject.active = false;
  video.pause();
  await happens(page, "visibilitychange");
  assert.deepEqual([video.paused, offered()], [true, false]);
});

for (const [where, event] of /** @type {[EventTarget, string][]} */ ([
  [page, "visibilitychange"],
  [root, "pageshow"],
])) {
  test(`what may not play is offered, and plays with the next ${event}`, async () => {
    const { video, offered } = await call();
    video.blocked = true;
    video.pause();
    await settle();
    assert.deepEqual([video.paused, offered()], [true, true]);
    video.blocked = false;
    await happens(where, event);
    assert.deepEqual([video.paused, offered()], [false, false]);
  });
}

test("a browser that pauses again and again has its way", async () => {
  const { video, clock, offered } = await call();
  const { plays } = video;
  for (let time = 0; time < 20; time++) {
    video.pause();
    await clock.pass(10);
  }
  assert.deepEqual([video.plays - plays, video.paused, offered()], [5, true, true]);
});

/** A camera's track: what it was asked for, and what was copied from it. */
class FakeCamera {
  kind = "video";
  readyState = "live";
  /** @type {FakeCamera[]} */
  copies = [];
  /** @type {any} */
  constraints = { facingMode: "user", width: 960 };
  getConstraints = () => this.constraints;

  clone() {
    const copy = new FakeCamera();
    this.copies.push(copy);
    return copy;
  }

  /** @param {any} constraints */
  async applyConstraints(constraints) {
    this.constraints = constraints;
    throw new DOMException("it cannot", "OverconstrainedError");
  }

  stop() {
    this.readyState = "ended";
  }
}

test("in the hall one sees a cheap copy of one's camera, which ends with the hall and with the camera", async () => {
  /** @type {Record<string, FakeVideo>} */
  const elements = {};
  const screens = new Screens((id) => (elements[id] ??= new FakeVideo()), new FakeClock().now);
  const own = new LiveStream();
  const [first, second] = [new FakeCamera(), new FakeCamera()];
  /** @param {string} scene */
  const draw = async (scene) => {
    const sending = { audio: true, video: own.getVideoTracks().length > 0 };
    screens.draw(/** @type {any} */ ({ snapshot: { state: "searching" }, own, sending }), scene);
    await settle();
    return elements.preview?.srcObject?.getTracks() ?? null;
  };
  const living = () => [...first.copies, ...second.copies].map(({ readyState }) => readyState);

  own.addTrack(first);
  assert.deepEqual(await draw("hall"), first.copies);
  assert.deepEqual(await draw("hall"), first.copies, "drawn again, it is the same copy");
  const small = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { max: 12 } };
  assert.deepEqual(first.copies[0]?.constraints, { facingMode: "user", ...small });
  assert.equal(first.constraints.width, 960, "what a partner sees is as it was");
  own.removeTrack(first);
  assert.equal(await draw("hall"), null);
  own.addTrack(second);
  assert.deepEqual(await draw("hall"), second.copies);
  assert.deepEqual(living(), ["ended", "live"]);
  await draw("call");
  assert.deepEqual(living(), ["ended", "ended"]);
  assert.equal(elements["self-video"]?.srcObject, own);
});
