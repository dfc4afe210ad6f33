import assert from "node:assert/strict";
import { test } from "node:test";

import { Budget, Throttle } from "../../web/static/js/budget.js";
import { FakeClock } from "./support/clock.js";

test("a budget: a burst at once, then so many a second, and never more than a burst", () => {
  const budget = new Budget({ per_s: 2, burst: 3 }, 0);
  /** @param {number} now */
  const taken = (now) => {
    let count = 0;
    while (budget.take(now)) count += 1;
    return count;
  };
  assert.equal(taken(0), 3);
  assert.equal(budget.wait_ms(0), 500);
  assert.equal(taken(499), 0);
  assert.equal(taken(500), 1);
  assert.equal(taken(1_500), 2);
  assert.equal(taken(3_600_000), 3);
});

test("a throttle does what it is asked at once, then within its rate, and the last time it was asked", async () => {
  const clock = new FakeClock();
  /** @type {number[]} */
  const done = [];
  const throttle = new Throttle(() => done.push(clock.now()), { per_s: 1, burst: 1 }, clock);
  for (let time = 0; time < 25; time++) {
    throttle.ask();
    await clock.pass(100);
  }
  await clock.pass(10_000);
  assert.deepEqual(done, [0, 1_000, 2_000, 3_000]);
  assert.equal(clock.running, 0);
  throttle.ask();
  throttle.ask();
  throttle.stop();
  await clock.pass(10_000);
  assert.equal(done.length, 5);
});
