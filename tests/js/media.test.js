import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeStream } from "./support/rtc.js";
import { FakeClock, settle } from "./support/clock.js";

Object.assign(globalThis, { MediaStream: FakeStream, isSecureContext: true });
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
const { Devices } = await import("../../web/static/js/media.js");

/** Devices that fail as told: by kind, the name of the error. */
class FakeMediaDevices {
  /** @type {any[]} */
  asked = [];
  /** @type {any[]} */
  tracks = [];
  /** @type {Promise<void>} */
  gate = Promise.resolve();

  /** @param {{ audio?: string, video?: string }} failures */
  constructor(failures = {}) {
    this.failures = failures;
  }

  /** @param {any} want */
  async getUserMedia(want) {
    this.asked.push({ audio: Boolean(want.audio), video: Boolean(want.video) });
    await this.gate;
    const stream = new FakeStream();
    const kinds = /** @type {const} */ (["audio", "video"]).filter((kind) => want[kind]);
    const failing = kinds.find((kind) => this.failures[kind]);
    if (failing) throw new DOMException("no", this.failures[failing]);
    for (const kind of kinds) {
      /** @type {any} */
      const track = { kind, enabled: true, live: true, muted: false, stop: () => void (track.live = false) };
      this.tracks.push(track);
      stream.addTrack(track);
    }
    return stream;
  }

  get live() {
    return this.tracks.filter(({ live }) => live).map(({ kind }) => kind);
  }
}

const EVERYTHING = { audio: true, video: true };
const OFF = { audio: false, video: false };

/** The newest device of this kind goes away. @param {FakeMediaDevices} media @param {string} kind */
const unplug = (media, kind) => media.tracks.findLast((track) => track.kind === kind).onended();

/** @param {FakeMediaDevices | undefined} media */
function desk(media, secure = true) {
  let changes = 0;
  const clock = new FakeClock();
  const devices = new Devices(() => (changes += 1), /** @type {any} */ (media), secure, clock);
  return { devices, changes: () => changes, clock };
}

test("both open, and both are let go of", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  assert.equal(await devices.open(EVERYTHING), null);
  assert.deepEqual(devices.sending, EVERYTHING);
  devices.close();
  assert.deepEqual(media.live, []);
  assert.deepEqual(devices.sending, { audio: false, video: false });
});

for (const [failures, title, label, fallback] of /** @type {const} */ ([
  [
    { video: "NotReadableError" },
    "Your camera is busy",
    "Continue without camera",
    { audio: true, video: false },
  ],
  [{ video: "AbortError" }, "Your camera is busy", "Continue without camera", { audio: true, video: false }],
  [{ video: "NotFoundError" }, "No camera found", "Continue without camera", { audio: true, video: false }],
  [
    { audio: "NotFoundError" },
    "No microphone found",
    "Continue without microphone",
    { audio: false, video: true },
  ],
  [{ video: "Odd" }, "Your camera did not start", "Continue without camera", { audio: true, video: false }],
  [
    { audio: "NotFoundError", video: "NotFoundError" },
    "No camera and microphone found",
    "Continue without camera and microphone",
    { audio: false, video: false },
  ],
  [
    { audio: "NotAllowedError", video: "NotAllowedError" },
    "Your camera and microphone are blocked",
    "Continue without camera",
    { audio: true, video: false },
  ],
])) {
  test(`${JSON.stringify(failures)}: ${title}; ${label}`, async () => {
    const media = new FakeMediaDevices(failures);
    const { devices } = desk(media);
    const problem = await devices.open(EVERYTHING);
    assert.equal(problem?.title, title);
    assert.equal(problem?.fallbackLabel, label);
    assert.deepEqual(problem?.fallback, fallback);
    assert.ok(problem?.advice.includes("try again"));
    assert.deepEqual(media.live, [], "finding out which device is to blame leaves none open");
  });
}

test("a refusal is not answered by asking again", async () => {
  const media = new FakeMediaDevices({ audio: "NotAllowedError", video: "NotAllowedError" });
  await desk(media).devices.open(EVERYTHING);
  assert.deepEqual(media.asked, [EVERYTHING]);
});

test("whoever has neither can always go on: receiving only", async () => {
  const media = new FakeMediaDevices({ audio: "NotReadableError", video: "NotReadableError" });
  const { devices } = desk(media);
  let want = EVERYTHING;
  const labels = [];
  for (let problem = await devices.open(want); problem; problem = await devices.open(want)) {
    labels.push(problem.fallbackLabel);
    want = problem.fallback ?? want;
  }
  assert.deepEqual(labels, ["Continue without camera and microphone"]);
});

for (const [what, media, secure] of /** @type {const} */ ([
  ["no devices at all", undefined, true],
  ["a page that is not secure", new FakeMediaDevices(), false],
])) {
  test(`${what}: says that the page is not secure`, async () => {
    const problem = await desk(media, secure).devices.open(EVERYTHING);
    assert.equal(problem?.reason, "insecure");
    assert.match(problem?.advice ?? "", /https:/);
    assert.deepEqual(problem?.fallback, { audio: false, video: false });
  });
}

test("muted: the track stays and is silent; camera off: the device is let go of", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open(EVERYTHING);
  await devices.setMicrophone(false);
  assert.equal(devices.tracks.audio?.enabled, false);
  await devices.setCamera(false);
  assert.deepEqual(media.live, ["audio"]);
  assert.deepEqual(devices.sending, { audio: false, video: false });
  await devices.setMicrophone(true);
  await devices.setCamera(true);
  assert.deepEqual(devices.sending, EVERYTHING);
  assert.equal(devices.tracks.audio?.enabled, true);
});

test("a camera that does not come back is a problem in plain English", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open(EVERYTHING);
  await devices.setCamera(false);
  media.failures = { video: "NotReadableError" };
  assert.equal((await devices.setCamera(true))?.title, "Your camera is busy");
  assert.deepEqual(devices.sending, { audio: true, video: false });
});

test("a device that opens after everything was closed is closed at once", async () => {
  const media = new FakeMediaDevices();
  let open = () => {};
  media.gate = new Promise((resolve) => (open = resolve));
  const { devices } = desk(media);
  const opening = devices.open(EVERYTHING);
  devices.close();
  open();
  await opening;
  assert.deepEqual(media.live, []);
});

test("pressed twice, a camera opens once", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open({ audio: false, video: false });
  await Promise.all([devices.setCamera(true), devices.setCamera(true)]);
  assert.deepEqual(media.live, ["video"]);
});

test("what was switched off stays off, over ends and new searches, until it is switched on", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open(devices.choice);
  await devices.setMicrophone(false);
  await devices.setCamera(false);
  devices.close();
  assert.deepEqual(devices.choice, OFF);
  await devices.open(devices.choice);
  assert.deepEqual([media.live, devices.sending], [[], OFF]);
  await devices.setMicrophone(true);
  await devices.setCamera(true);
  assert.deepEqual([media.live, devices.sending], [["audio", "video"], EVERYTHING]);
});

test("before a search, switching opens nothing", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  for (const on of [false, true]) {
    await devices.setMicrophone(on);
    await devices.setCamera(on);
  }
  assert.deepEqual([media.asked, devices.choice], [[], EVERYTHING]);
});

test("a camera that was switched off while the browser asked does not stay open", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  const opening = devices.open(EVERYTHING);
  await devices.setCamera(false);
  assert.equal(await opening, null);
  assert.deepEqual(media.live, ["audio"]);
});

test("opened again, what is open goes on without a break", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open(EVERYTHING);
  const { audio } = devices.tracks;
  await devices.open({ audio: true, video: false });
  await devices.open(EVERYTHING);
  assert.equal(devices.tracks.audio, audio);
  assert.deepEqual(media.live, ["audio", "video"]);
});

test("a device that is pulled out is noticed", async () => {
  const media = new FakeMediaDevices();
  const { devices, changes } = desk(media);
  await devices.open(EVERYTHING);
  const before = changes();
  unplug(media, "video");
  await settle();
  assert.deepEqual(devices.sending, { audio: true, video: false });
  assert.equal(changes(), before + 1);
});

for (const [what, act, expected] of /** @type {[string, (desk: any, media: any) => any, any][]} */ ([
  ["is opened again", () => {}, ["audio", "video"]],
  ["is not opened after it was switched off", ({ devices }) => devices.setCamera(false), ["audio"]],
  ["is not opened after the devices were let go of", ({ devices }) => devices.close(), []],
  ["stays away while it does not open", (_, media) => (media.failures.video = "NotFoundError"), ["audio"]],
  [
    "is not asked for again after a refusal",
    async ({ devices }, media) => {
      media.failures.video = "NotAllowedError";
      await devices.regain();
      media.failures = {};
    },
    ["audio"],
  ],
])) {
  test(`a camera that was unplugged ${what}`, async () => {
    const media = new FakeMediaDevices();
    const made = desk(media);
    await made.devices.open(EVERYTHING);
    unplug(media, "video");
    assert.deepEqual(made.devices.lost, { audio: false, video: true });
    await act(made, media);
    await made.devices.regain();
    assert.deepEqual(media.live, expected);
  });
}

test("a device that was switched off is not missed when it goes away", async () => {
  const media = new FakeMediaDevices();
  const { devices } = desk(media);
  await devices.open(EVERYTHING);
  await devices.setMicrophone(false);
  unplug(media, "audio");
  await devices.regain();
  assert.deepEqual([devices.lost, media.live], [OFF, ["video"]]);
});

for (const [what, muted_ms, expected] of /** @type {[string, number, any][]} */ ([
  ["for a moment: nothing", 2_000, OFF],
  ["for good: it is silenced, and the partner is told", 4_000, { audio: false, video: true }],
])) {
  test(`a camera that the system mutes ${what}`, async () => {
    const media = new FakeMediaDevices();
    const { devices, clock } = desk(media);
    await devices.open(EVERYTHING);
    const camera = media.tracks.at(-1);
    camera.muted = true;
    camera.onmute();
    await clock.pass(muted_ms);
    assert.deepEqual([devices.silenced, devices.told], [expected, { audio: true, video: !expected.video }]);
    assert.deepEqual(devices.sending, EVERYTHING, "its switch stays on");
    camera.muted = false;
    camera.onunmute();
    assert.deepEqual([devices.silenced, devices.told, clock.running], [OFF, EVERYTHING, 0]);
  });
}
