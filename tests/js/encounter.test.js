import assert from "node:assert/strict";
import { test } from "node:test";
import { Encounter } from "../../web/static/js/encounter.js";
import { NOWHERE } from "../../web/static/js/server_frames.js";
import { Waits } from "../../web/static/js/waits.js";
import { FakeClock } from "./support/clock.js";

const NOTHING = { tracks: { audio: null, video: null }, sending: { audio: false, video: false } };

/** Somebody whose browser has no WebRTC, as nothing here has. */
function somebody() {
  /** @type {any[]} */
  const said = [];
  /** @type {any[]} */
  const problems = [];
  const encounter = new Encounter(
    /** @type {any} */ ({
      signaling: { send: (/** @type {any} */ frame) => said.push(frame) },
      waits: new Waits(() => {}, new FakeClock()),
      devices: NOTHING,
      onChange: () => {},
      onProblem: (/** @type {any} */ problem) => problems.push(problem),
    }),
  );
  /** @param {import("../../web/static/js/protocol.js").State} state @param {string | null} session */
  const follow = (state, session = null) => encounter.follow({ ...NOWHERE, state, session });
  return { encounter, follow, said, problems };
}

test("a call that cannot begin is told to the server at once, and to the person", () => {
  const { follow, said, problems } = somebody();
  follow("connecting", "s");
  assert.deepEqual(said, [{ type: "failed", session: "s", code: "no_webrtc" }]);
  assert.equal(problems[0].reason, "no_calls");
});

for (const [what, state, renews] of /** @type {const} */ ([
  ["comes back to its call", "connected", true],
  ["finds its call over", "searching", false],
  ["finds its session over", "ended", false],
])) {
  test(`a page that was reloaded and ${what} ${renews ? "begins it again" : "begins the next like any other"}`, () => {
    const { encounter, follow, said } = somebody();
    encounter.returns = true;
    follow(state, state === "searching" ? null : "s");
    follow("connecting", "t");
    const renewed = said.filter(({ data }) => data?.kind === "renew").map(({ session }) => session);
    assert.deepEqual(renewed, renews ? ["s"] : []);
  });
}
