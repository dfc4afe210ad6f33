import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeStream } from "./support/rtc.js";
import { settle } from "./support/clock.js";

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
      const track = { kind, enabled: true, live: true, stop: () => void (track.live = false), onended: null };
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

/** @param {FakeMediaDevices | undefined} media */
function desk(media, secure = true) {
  let changes = 0;
  const devices = new Devices(() => (changes += 1), /** @type {any} */ (media), secure);
  return { devices, changes: () => changes };
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
    want = problem.fallback;
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
  await Promise.all([devices.setCamera(true), devices.setCamera(true)]);
  assert.deepEqual(media.live, ["video"]);
});

test("a device that is pulled out is noticed", async () => {
  const media = new FakeMediaDevices();
  const { devices, changes } = desk(media);
  await devices.open(EVERYTHING);
  const before = changes();
  media.tracks.find(({ kind }) => kind === "video").onended();
  await settle();
  assert.deepEqual(devices.sending, { audio: true, video: false });
  assert.equal(changes(), before + 1);
});
