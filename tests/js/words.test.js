import assert from "node:assert/strict";
import { test } from "node:test";
import { NOWHERE } from "../../web/static/js/server_frames.js";
import * as words from "../../web/static/js/words.js";

const ADA = { id: "a", name: "Ada", away: false };
const OVERDUE = { what: "mend", since: 0, until: 1, overdue: true };
const RUNNING = { ...OVERDUE, overdue: false };
const UP = { status: "open" };
const DOWN = { status: "waiting", message: "", until: 0 };

/** @param {object} change @returns {any} */
const picture = (change = {}) => ({
  snapshot: { ...NOWHERE, state: "connected", partner: ADA },
  link: UP,
  welcomed: true,
  step: null,
  waits: { link: null, mend: null },
  choice: { audio: true, video: true },
  ...change,
});

/** @param {boolean} away */
const call = (away) => ({ ...NOWHERE, state: "connected", partner: { ...ADA, away } });

for (const [what, change, expected] of /** @type {[string, object, string][]} */ ([
  ["nothing is wrong", {}, ""],
  [
    "the partner's line dropped, the call goes on",
    { snapshot: call(true) },
    "Ada has no connection to the server just now. The call goes on.",
  ],
  ["the call does not flow", { waits: { mend: RUNNING } }, "The call is interrupted. Bringing it back…"],
  [
    "both",
    { snapshot: call(true), waits: { mend: RUNNING } },
    "Ada's connection dropped. Waiting for them to come back…",
  ],
  [
    "for good",
    { waits: { mend: OVERDUE } },
    "There is no way through the network to Ada any more. You can wait, or go on to the next person.",
  ],
  [
    "for good, the partner away",
    { snapshot: call(true), waits: { mend: OVERDUE } },
    "Ada is out of reach. You can wait, or go on to the next person.",
  ],
  [
    "for good, this side down",
    { link: DOWN, waits: { mend: OVERDUE } },
    "Your network is down, and the call with it. You can wait, or go on to the next person.",
  ],
])) {
  test(`across the call, ${what}: ${expected}`, () => {
    assert.equal(words.stageNote("Ada", picture(change)), expected);
  });
}

for (const [step, link, choice, expected] of /** @type {any[]} */ ([
  [null, UP, [true, true], "This turns on your camera and microphone."],
  [null, UP, [true, false], "This turns on your microphone."],
  [null, UP, [false, true], "This turns on your camera."],
  [null, UP, [false, false], "Your camera and microphone stay off."],
  ["guest", UP, [true, true], "One moment…"],
  ["line", { status: "connecting" }, [true, true], "Connecting…"],
  ["line", DOWN, [true, true], "The server cannot be reached just now. Trying again…"],
  ["leave", UP, [true, true], "One moment…"],
  ["devices", DOWN, [true, true], "Allow your camera and microphone when the browser asks."],
  ["devices", UP, [true, false], "Allow your microphone when the browser asks."],
  ["search", UP, [true, true], "One moment…"],
  ["search", DOWN, [true, true], "The search begins when the connection is back."],
])) {
  test(`below Find Partner, waiting for ${step}, ${link.status}, ${choice}: ${expected}`, () => {
    const [audio, video] = choice;
    assert.equal(words.findHint(picture({ step, link, choice: { audio, video } })), expected);
  });
}

for (const [silent_ms, expected] of /** @type {const} */ ([
  [3_000, "The server was restarted, and your place was lost with it."],
  [15_000, "There was no connection to the server for a while, and your place was lost."],
])) {
  test(`a place that is lost after ${silent_ms} ms: ${expected}`, () => {
    assert.equal(words.placeLost(silent_ms, 15_000), expected);
  });
}

test("one call that fails is nothing; several in a row are the network", () => {
  assert.deepEqual([0, 1].map(words.networkAdvice), ["", ""]);
  assert.match(
    words.networkAdvice(2),
    /^The last 2 calls could not be set up\. Your network may block video calls/,
  );
});

for (const [cause, search_again_ms, expected] of /** @type {any[]} */ ([
  ["connect_timeout", 500, true],
  ["connect_timeout", null, true],
  ["connect_failed", null, true],
  ["connect_failed", 500, false],
  ["partner_lost", 500, false],
])) {
  test(`${cause}, next search in ${search_again_ms}: the network may be why is ${expected}`, () => {
    const snapshot = { ...NOWHERE, state: /** @type {const} */ ("ended"), cause, search_again_ms };
    assert.equal(words.mayBeNetwork(snapshot), expected);
    assert.equal(words.mayBeNetwork({ ...snapshot, state: "idle" }), false);
  });
}

test("while the two are being connected, it is said who was found", () => {
  assert.equal(words.seatNote("Ada", { ...NOWHERE, state: "connecting" }, null), "Connecting you with Ada…");
  const before = picture({ snapshot: { ...NOWHERE, state: "searching" } });
  const now = picture({ snapshot: { ...NOWHERE, state: "connecting", session: "s", partner: ADA } });
  assert.deepEqual(words.news(before, now), ["Ada was found. Setting up the call."]);
});

for (const [link, welcomed, waits, expected] of /** @type {any[]} */ ([
  [UP, true, {}, ""],
  [{ status: "connecting" }, false, {}, ""],
  [{ status: "connecting" }, true, {}, "Reconnecting…"],
  [DOWN, true, { link: RUNNING }, "Reconnecting…"],
  [
    DOWN,
    true,
    { link: OVERDUE },
    "Still no connection to the server. Check your network; the page goes on trying.",
  ],
])) {
  test(`the line, ${link.status}${welcomed ? "" : " for the first time"}: ${expected}`, () => {
    assert.equal(words.linkNote(picture({ link, welcomed, waits })), expected);
  });
}

for (const [state, unread, expected] of /** @type {[any, number, string][]} */ ([
  ["idle", 0, "studymatch"],
  ["searching", 0, "Finding a Partner… · studymatch"],
  ["connecting", 0, "Waiting for partner… · studymatch"],
  ["connected", 0, "Ada · studymatch"],
  ["connected", 2, "(2) Ada · studymatch"],
  ["connected", 120, "(99+) Ada · studymatch"],
])) {
  test(`the title, ${state}, ${unread} unread: ${expected}`, () => {
    const snapshot = { ...NOWHERE, state, partner: ADA };
    assert.equal(words.pageTitle({ snapshot, unread }), expected);
  });
}

const MENDS = { link: null, mend: RUNNING };
/** @param {boolean} away */
const inCall = (away) => ({ ...call(away), session: "s" });
const OFF = { audio: false, video: false };
const ON = { audio: true, video: true };
const CAMERA = { audio: false, video: true };
const MICROPHONE = { audio: true, video: false };

for (const [what, before, now, expected] of /** @type {[string, object, object, string[]][]} */ ([
  ["nothing changed", { lost: CAMERA }, { lost: CAMERA }, []],
  [
    "a camera went away",
    {},
    { lost: CAMERA, sending: MICROPHONE },
    ["Your camera was unplugged, or another program took it. It is used again when it is back."],
  ],
  ["it is back", { lost: CAMERA, sending: MICROPHONE }, {}, ["Your camera is back."]],
  ["it is not wanted any more", { lost: CAMERA, sending: MICROPHONE }, { sending: MICROPHONE }, []],
  [
    "the system mutes a microphone",
    {},
    { silenced: MICROPHONE },
    ["Your microphone gives no sound: its own switch, the system or the browser keeps it off."],
  ],
  ["and lets it go", { silenced: MICROPHONE }, {}, ["Your microphone gives sound again."]],
  ["it was switched off meanwhile", { silenced: MICROPHONE }, { sending: CAMERA }, []],
  ["both are back", { lost: ON, sending: OFF }, {}, ["Your camera is back.", "Your microphone is back."]],
])) {
  test(`of devices in use, ${what}: ${expected.join(" ")}`, () => {
    const usual = { lost: OFF, silenced: OFF, sending: ON };
    assert.deepEqual(words.deviceNews({ ...usual, ...before }, { ...usual, ...now }), expected);
  });
}

for (const [what, before, now, expected] of /** @type {[string, any, any, string[]][]} */ ([
  ["nothing changed", {}, {}, []],
  ["the partner muted", { partnerSending: ON }, { partnerSending: CAMERA }, ["Ada cannot be heard now."]],
  ["the partner unmuted", { partnerSending: CAMERA }, { partnerSending: ON }, ["Ada can be heard again."]],
  [
    "the camera went off",
    { partnerSending: ON },
    { partnerSending: MICROPHONE },
    ["Ada cannot be seen now."],
  ],
  ["the camera came on", { partnerSending: OFF }, { partnerSending: CAMERA }, ["Ada can be seen again."]],
  ["a partner came with both on", {}, { partnerSending: ON }, []],
  ["a partner came with the camera off", {}, { partnerSending: MICROPHONE }, ["Ada cannot be seen now."]],
  ["a partner who was off begins again", { partnerSending: OFF }, {}, []],
  ["the partner's line dropped, which is read out where it is seen", {}, { snapshot: inCall(true) }, []],
  ["the partner's line is back", { snapshot: inCall(true) }, {}, ["Ada is back."]],
  ["the call was interrupted, which is read out where it is seen", {}, { waits: MENDS }, []],
  ["the call flows again", { waits: MENDS }, {}, ["The call goes on."]],
  ["an interrupted call is over", { waits: MENDS }, { partner: null }, []],
  ["the line dropped, which is read out where it is seen", {}, { link: DOWN }, []],
  ["the line is back", { link: DOWN }, {}, ["Connected again."]],
  ["the line is there for the first time", { link: { status: "connecting" }, welcomed: false }, {}, []],
  ["the line is given up", { link: DOWN }, { link: { status: "stopped" } }, []],
  [
    "all of it comes back at once",
    { link: DOWN, snapshot: inCall(true), waits: MENDS, partnerSending: OFF },
    { partnerSending: ON },
    [
      "Connected again.",
      "Ada is back.",
      "The call goes on.",
      "Ada can be seen again.",
      "Ada can be heard again.",
    ],
  ],
  [
    "the session is over, and what the former partner sent is no news",
    { partnerSending: ON },
    { snapshot: { ...NOWHERE, state: "ended", session: "s" }, partner: null },
    ["The session is over."],
  ],
])) {
  test(`for those who do not see it, ${what}: ${expected.join(" ")}`, () => {
    const usual = { snapshot: inCall(false), partner: {}, partnerSending: null };
    assert.deepEqual(words.news(picture({ ...usual, ...before }), picture({ ...usual, ...now })), expected);
  });
}
