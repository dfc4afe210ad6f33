import assert from "node:assert/strict";
import { test } from "node:test";

import { Sounds } from "../../web/static/js/sounds.js";
import { settle } from "./support/clock.js";

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

const RING = { name: "ring", volume: 0.4 };

function hall() {
  /** @type {FakeAudio[]} */
  const elements = [];
  const sounds = new Sounds("/sounds/", (url) => {
    const element = new FakeAudio(url);
    elements.push(element);
    return /** @type {any} */ (element);
  });
  const playing = () => elements.filter(({ paused }) => !paused).map(({ url }) => url);
  return { sounds, elements, playing };
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
