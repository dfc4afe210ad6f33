/** Lines that break at any moment, drawn from seeds. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { drop, IN_CALL, inCall } from "./support/pages.js";

/** A small generator of chance (mulberry32), so that a failure can be repeated. @param {number} seed */
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A line that breaks at any moment, with any number of frames inside it. @param {number} seed */
async function badLine(seed) {
  const random = chance(seed);
  const page = await inCall();
  const { world, clock } = page;
  /** @type {string[]} */
  const heard = [];
  let counted = 0;
  let read = 1;
  let said = 0;
  /** The server reads so many of the frames that are under way. @param {number} most */
  const hear = (most) => {
    for (const { type, n, text } of world.socket.sent.slice(read, read + most)) {
      read += 1;
      if (type === "ping") world.socket.say({ type: "pong", seq: 9, heard: counted });
      else if (n > counted) {
        counted = n;
        heard.push(text);
      }
    }
  };
  for (let step = 0; step < 60; step++) {
    const what = random();
    if (what < 0.5) page.say(`${said++}`);
    else if (what < 0.7) hear(Math.ceil(random() * 4));
    else if (what < 0.85) await clock.pass(random() * 2_000);
    else {
      await drop(page);
      if (random() < 0.3) page.say(`${said++}`);
      read = 1;
      await world.welcome({ resumed: true, heard: counted }, IN_CALL);
    }
    if (world.socket.readyState === 0) {
      read = 1;
      await world.welcome({ resumed: true, heard: counted }, IN_CALL);
    }
  }
  for (let time = 0; time < 20; time++) {
    hear(1_000);
    await clock.pass(1_000);
  }
  const all = Array.from({ length: said }, (_, index) => `${index}`);
  assert.deepEqual(heard, all, `seed ${seed}: each once and in order`);
  const last = new Map(page.fates);
  assert.ok(
    all.every((text) => last.get(text) === "heard"),
    `seed ${seed}: and this is known`,
  );
}

test("over lines that break at any moment everything is heard once, in order, and known to be", async () => {
  for (let seed = 0; seed < 60; seed++) await badLine(seed);
});
