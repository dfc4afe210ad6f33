import assert from "node:assert/strict";
import { test } from "node:test";
import { Leaving } from "../../web/static/js/leaving.js";
import { NOWHERE } from "../../web/static/js/server_frames.js";
import { Waits, WAITS } from "../../web/static/js/waits.js";
import { FakeClock } from "./support/clock.js";

/** @param {import("../../web/static/js/protocol.js").State} state @param {string | null} session */
const at = (state, session = null) => ({ ...NOWHERE, state, session });

function somebody() {
  const clock = new FakeClock();
  /** @type {string[]} */
  const said = [];
  /** @type {((fate: any) => void)[]} */
  const fates = [];
  let overdue = 0;
  const leaving = new Leaving({
    waits: new Waits(() => {}, clock),
    send: (frame, onFate) => {
      said.push("session" in frame ? `${frame.type} ${frame.session}` : frame.type);
      fates.push(onFate);
    },
    onOverdue: () => (overdue += 1),
  });
  return { clock, said, fates, leaving, overdue: () => overdue };
}

for (const [state, session, frame] of /** @type {const} */ ([
  ["searching", null, "cancel"],
  ["connecting", "s", "end s"],
  ["connected", "s", "end s"],
  ["ended", "s", "end s"],
])) {
  test(`${state} is left by ${frame}; until the server is idle, nothing of it is drawn`, () => {
    const { said, leaving, clock } = somebody();
    leaving.begin(at(state, session));
    assert.deepEqual(said, [frame]);
    assert.equal(leaving.covers(at(state, session)), true);
    assert.equal(leaving.covers(NOWHERE), false);
    assert.equal(leaving.underway, false);
    assert.equal(clock.running, 0);
    assert.deepEqual(said, [frame], "it is said once");
  });
}

test("who is nowhere has nothing to leave", () => {
  const { said, leaving } = somebody();
  leaving.begin(NOWHERE);
  assert.equal(leaving.underway, false);
  assert.equal(leaving.left(), null);
  assert.deepEqual(said, []);
});

test("a match that came about before the server knew is left too", () => {
  const { said, leaving } = somebody();
  leaving.begin(at("searching"));
  assert.equal(leaving.covers(at("connecting", "s")), true);
  assert.equal(leaving.covers(at("connected", "s")), true);
  assert.equal(leaving.covers(at("ended", "s")), true);
  assert.equal(leaving.covers(at("searching")), true);
  assert.deepEqual(said, ["cancel", "end s", "cancel"]);
});

test("a search of which the server has never heard needs no leaving", () => {
  const { fates, leaving, clock } = somebody();
  leaving.begin(at("searching"));
  for (const fate of ["waits", "heard"]) fates[0]?.(fate);
  assert.equal(leaving.underway, true);
  fates[0]?.("refused");
  assert.equal(leaving.underway, false);
  assert.equal(clock.running, 0);
});

test("a match that came about before the cancel is left, though the cancel is refused", () => {
  const { fates, leaving } = somebody();
  leaving.begin(at("searching"));
  leaving.covers(at("connecting", "s"));
  fates[0]?.("refused");
  assert.equal(leaving.underway, true);
});

test("a new search waits until the old one is left", async () => {
  const { leaving } = somebody();
  leaving.begin(at("searching"));
  const left = leaving.left();
  leaving.covers(NOWHERE);
  await left;
  assert.equal(leaving.left(), null);
});

test("a server that never answers is left for good", async () => {
  const { clock, leaving, overdue } = somebody();
  leaving.begin(at("searching"));
  const left = leaving.left();
  await clock.pass(WAITS.leave.limit_ms);
  await left;
  assert.equal(overdue(), 1);
  assert.equal(leaving.covers(at("searching")), false);
});
