import assert from "node:assert/strict";
import { test } from "node:test";

import { arrived, flows, PATIENCE_MS } from "../../web/static/js/flow.js";

const NONE = { audio: false, video: false };
const ALL = { audio: true, video: true };

test("everything that was announced has to arrive", () => {
  for (const audio of [true, false]) {
    for (const video of [true, false]) {
      const partner = { audio, video };
      assert.equal(flows({ up_ms: 0, partner, received: partner }), true);
      assert.equal(flows({ up_ms: 0, partner: ALL, received: partner }), audio && video);
      assert.equal(flows({ up_ms: 0, partner, received: NONE }), !audio && !video);
    }
  }
});

test("a partner who has not said what it sends may still say so", () => {
  assert.equal(flows({ up_ms: PATIENCE_MS - 1, partner: null, received: ALL }), false);
});

test("patience ends: the connection itself counts then", () => {
  for (const partner of [null, ALL, NONE]) {
    assert.equal(flows({ up_ms: PATIENCE_MS, partner, received: NONE }), true);
  }
});

test("only inbound packets count", () => {
  const reports = [
    { type: "outbound-rtp", kind: "audio", packetsSent: 9, packetsReceived: 9 },
    { type: "inbound-rtp", kind: "video", packetsReceived: 0 },
    { type: "inbound-rtp", kind: "audio" },
  ];
  assert.deepEqual(arrived(reports), NONE);
  assert.deepEqual(arrived([...reports, { type: "inbound-rtp", kind: "video", packetsReceived: 1 }]), {
    audio: false,
    video: true,
  });
});
