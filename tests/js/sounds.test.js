import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Sounds } from "../../web/static/js/sounds.js";
import { FakeClock, settle } from "./support/clock.js";

class FakeAudio {
  paused = true;
  loop = false;
  volume = 1;
  currentTime = 0;
  plays = 0;
  blocked = false;

  /** @param {string} url */
  constructor(url) {
    this.url = url;
  }

  async play() {
    if (this.blocked) throw new DOMException("not before a click", "NotAllowedError");
    this.plays += 1;
    this.paused = false;
  }

  pause() {
    this.paused = true;
  }
}

/** @type {Map<string, string>} */
const storage = new Map();
Object.defineProperty(globalThis, "localStorage", {
  value: {
    /** @param {string} name */
    getItem: (name) => storage.get(name) ?? null,
    /** @param {string} name @param {string} value */
    setItem: (name, value) => void storage.set(name, value),
  },
  configurable: true,
});
beforeEach(() => storage.clear());

const RING = { name: "ring", volume: 0.4 };

function hall() {
  /** @type {FakeAudio[]} */
  const elements = [];
  const clock = new FakeClock();
  /** @param {string} url */
  const create = (url) => {
    const element = new FakeAudio(url);
    elements.push(element);
    return /** @type {any} */ (element);
  };
  const sounds = new Sounds("/sounds/", create, clock.now);
  const playing = () => elements.filter(({ paused }) => !paused).map(({ url }) => url);
  return { sounds, elements, playing, clock };
}

test("the loop is the one that the state has, at its volume", () => {
  const { sounds, elements, playing } = hall();
  sounds.loop(RING);
  assert.deepEqual(playing(), ["/sounds/ring.wav"]);
  assert.deepEqual([elements[0]?.loop, elements[0]?.volume], [true, 0.4]);
});

test("a snapshot with the same loop does not start it anew", () => {
  const { sounds, elements } = hall();
  sounds.loop(RING);
  sounds.loop({ ...RING });
  assert.equal(elements.length, 1);
  assert.equal(elements[0]?.plays, 1);
});

test("a state without a loop leaves none playing", () => {
  const { sounds, playing } = hall();
  sounds.loop(RING);
  sounds.loop(null);
  sounds.unblock();
  assert.deepEqual(playing(), []);
});

test("a cue plays once, from its beginning", () => {
  const { sounds, elements } = hall();
  sounds.cue("chime");
  sounds.cue(null);
  assert.deepEqual([elements.length, elements[0]?.loop, elements[0]?.plays], [1, false, 1]);
});

test("a sound that this page does not have is silence", () => {
  const { sounds, elements } = hall();
  sounds.loop({ name: "../../etc", volume: 1 });
  sounds.cue("fanfare");
  assert.equal(elements.length, 0);
});

test("a blocked loop is no error, and starts with the first click", async () => {
  const { sounds, elements, playing } = hall();
  sounds.loop(null);
  const { play } = FakeAudio.prototype;
  FakeAudio.prototype.play = async () => Promise.reject(new DOMException("blocked", "NotAllowedError"));
  sounds.loop(RING);
  await settle(); // an unhandled rejection would fail this test
  FakeAudio.prototype.play = play;
  assert.deepEqual(playing(), []);
  sounds.unblock();
  assert.deepEqual(playing(), ["/sounds/ring.wav"]);
  assert.equal(elements.length, 1);
});

for (const [what, make] of /** @type {[string, (sounds: Sounds) => void][]} */ ([
  ["the loop", (sounds) => sounds.loop(RING)],
  ["the loop, after a click", (sounds) => (sounds.loop(RING), sounds.unblock())],
  ["a cue", (sounds) => sounds.cue("chime")],
  ["a message", (sounds) => sounds.message()],
])) {
  test(`switched off, ${what} makes no sound; switched off while it sounds, it stops`, () => {
    const silent = hall();
    silent.sounds.switch(false);
    make(silent.sounds);
    assert.deepEqual(silent.playing(), []);
    const stopped = hall();
    stopped.sounds.switch(true);
    make(stopped.sounds);
    assert.equal(stopped.playing().length, 1);
    stopped.sounds.switch(false);
    assert.deepEqual(stopped.playing(), []);
  });
}

test("switched on again, the loop of the present state is heard", () => {
  const { sounds, playing } = hall();
  sounds.switch(false);
  sounds.loop({ name: "chime", volume: 1 });
  sounds.loop(RING);
  sounds.switch(true);
  assert.deepEqual(playing(), ["/sounds/ring.wav"]);
});

test("the switch is as it was left at the next visit", () => {
  assert.equal(hall().sounds.on, true);
  hall().sounds.switch(false);
  assert.equal(hall().sounds.on, false);
  hall().sounds.switch(true);
  assert.equal(hall().sounds.on, true);
});

test("many messages are heard once in four seconds, quieter than a cue", async () => {
  const { sounds, elements, playing, clock } = hall();
  const heard = [];
  for (let second = 0; second < 9; second++) {
    sounds.message();
    if (playing().length > 0) heard.push(second);
    elements[0]?.pause();
    await clock.pass(1000);
  }
  assert.deepEqual([heard, elements.length, elements[0]?.volume], [[0, 4, 8], 1, 0.25]);
});
