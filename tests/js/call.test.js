import assert from "node:assert/strict";
import { test } from "node:test";
import { Call, cannotCall } from "../../web/static/js/call.js";

const SERVERS = [{ urls: "stun:hall" }];

/** A peer that only remembers what was asked of it. */
class FakePeer {
  flowed = false;
  closed = false;
  /** @type {any[]} */
  heard = [];
  /** @param {any} options */
  constructor(options) {
    this.options = options;
    options.send({ kind: "media" });
  }
  /** @param {any} data */
  receive = (data) => this.heard.push(data);
  close = () => (this.closed = true);
  resync() {}
}

/** Somebody in session "s". @param {string} id of the call, if this side begins one again */
function somebody(id, Peer = FakePeer) {
  /** @type {any[]} */
  const said = [];
  /** @type {FakePeer[]} */
  const peers = [];
  /** @type {any[]} */
  const news = [];
  let now = 0;
  const call = new Call(
    /** @type {any} */ ({
      send: (/** @type {string} */ _session, /** @type {any} */ data) => said.push(data),
      onFailed: (/** @type {any[]} */ ...failed) => news.push(failed),
      onRenewed: () => news.push("renewed"),
      devices: () => ({ tracks: {}, sending: {} }),
      now: () => now,
      newId: () => id,
      Peer: class extends Peer {
        /** @param {any} options */
        constructor(options) {
          super(options);
          peers.push(this);
        }
      },
    }),
  );
  return { call, said, peers, news, pass: (/** @type {number} */ ms) => (now += ms) };
}

const SESSION = { session: "s", initiator: true, iceServers: SERVERS };

/** Have each hear what the other has said, until both are silent. @param {ReturnType<typeof somebody>[]} both */
function exchange(...both) {
  for (const [speaker, hearer] of [both, both.toReversed()]) {
    for (const data of speaker?.said.splice(0) ?? []) hearer?.call.receive(data);
  }
  if (both.some(({ said }) => said.length > 0)) exchange(...both);
}

test("the first call of a session has no id, and one session follows another", () => {
  const ada = somebody("a");
  ada.call.begin(SESSION, false);
  assert.deepEqual(ada.said, [{ kind: "media" }]);
  ada.call.receive({ kind: "media" });
  assert.deepEqual(ada.peers[0]?.heard, [{ kind: "media" }]);
  ada.call.begin({ ...SESSION, session: "t" }, false);
  assert.deepEqual([ada.peers[0]?.closed, ada.call.session], [true, "t"]);
});

test("a page that was reloaded begins the call again, and both sides have thrown away what they had", () => {
  const ada = somebody("a");
  const bob = somebody("b");
  ada.call.begin(SESSION, true);
  bob.call.begin(SESSION, false);
  bob.said.splice(0); // what Bob said to the page that is gone
  exchange(ada, bob);
  assert.deepEqual(bob.news, ["renewed"]);
  assert.equal(bob.peers[0]?.closed, true);
  assert.deepEqual(bob.peers[1]?.heard, [{ kind: "media", call: "a" }]);
  assert.deepEqual(ada.peers[0]?.heard, [{ kind: "media", call: "a" }]);
  ada.call.receive({ kind: "description" });
  assert.equal(ada.peers[0]?.heard.length, 1, "a late word of the former call changes nothing");
});

for (const [one, other] of [
  ["a", "b"],
  ["b", "a"],
]) {
  test(`both are reloaded at once (${one}, ${other}): they agree on one call`, () => {
    const ada = somebody(String(one));
    const bob = somebody(String(other));
    ada.call.begin(SESSION, true);
    bob.call.begin(SESSION, true);
    exchange(ada, bob);
    for (const { peers } of [ada, bob]) {
      assert.equal(peers.at(-1)?.closed, false);
      assert.equal(peers.at(-1)?.heard.at(-1).call, "b.");
    }
  });
}

test("the partner is reloaded before it has heard that this side was: they agree all the same", () => {
  const ada = somebody("b");
  ada.call.begin(SESSION, true);
  ada.said.splice(0); // heard by the page that is gone
  const bob = somebody("a");
  bob.call.begin(SESSION, true);
  exchange(ada, bob);
  for (const { peers } of [ada, bob]) assert.equal(peers.at(-1)?.heard.at(-1).call, "b.");
});

test("one reload after another, by either, with whatever id", () => {
  const bob = somebody("m");
  bob.call.begin(SESSION, false);
  for (const id of ["z", "a"]) {
    const ada = somebody(id);
    ada.call.begin(SESSION, true);
    exchange(ada, bob);
    assert.equal(bob.peers.at(-1)?.heard.at(-1).call, id);
    for (const { peers } of [ada, bob]) Object.assign(peers.at(-1) ?? {}, { flowed: true });
  }
});

test("a partner who begins the call again and again makes no connection without end", () => {
  const ada = somebody("a");
  ada.call.begin(SESSION, false);
  for (let time = 0; time < 100; time++) ada.call.receive({ kind: "renew", call: `${time}` });
  assert.equal(ada.peers.length, 4);
  ada.pass(10_000);
  ada.call.receive({ kind: "renew", call: "later" });
  assert.equal(ada.peers.length, 5);
});

for (const data of [
  null,
  "renew",
  { kind: "renew" },
  { kind: "renew", call: 7 },
  { kind: "renew", call: "x".repeat(65) },
]) {
  test(`${JSON.stringify(data)?.slice(0, 40)} begins no call`, () => {
    const ada = somebody("a");
    ada.call.begin(SESSION, false);
    ada.call.receive(data);
    assert.equal(ada.peers.length, 1);
  });
}

test("a connection that cannot be made is told at once", () => {
  class Broken extends FakePeer {
    /** @param {any} options */
    constructor(options) {
      super(options);
      throw new Error("WebRTC is switched off");
    }
  }
  const ada = somebody("a", Broken);
  ada.call.begin(SESSION, false);
  assert.deepEqual(ada.news, [["s", "no_webrtc"]]);
  ada.call.receive({ kind: "media" });
  ada.call.resync();
  ada.call.close();
});

class Connection {
  /** @param {any} configuration */
  constructor({ iceServers }) {
    if (iceServers.some((/** @type {any} */ { urls }) => urls === "stun://odd")) throw new SyntaxError("odd");
  }
  close() {}
}

class Blocked {
  constructor() {
    throw new Error("switched off");
  }
}

for (const [what, servers, constructor, title] of /** @type {const} */ ([
  ["a browser that can", SERVERS, Connection, undefined],
  ["a browser without WebRTC", [], undefined, "This browser cannot make video calls"],
  ["a browser in which it is blocked", SERVERS, Blocked, "This browser cannot make video calls"],
  ["a server with odd settings", [{ urls: "stun://odd" }], Connection, "Calls are not set up correctly here"],
])) {
  test(`${what}: ${title ?? "nothing is in the way"}`, () => {
    const problem = cannotCall([...servers], /** @type {any} */ (constructor));
    assert.equal(problem?.title, title);
    if (problem) assert.equal(problem.fallback, null);
  });
}
