import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Identity, IdentityError } from "../../web/static/js/identity.js";
import { settle } from "./support/clock.js";

/** @type {Map<string, string>} */
const storage = new Map();
/** What the server answers next. @type {() => Response} */
let answer;
let asked = 0;
let now = 0;

beforeEach(() => {
  storage.clear();
  asked = now = 0;
  Object.assign(globalThis, {
    sessionStorage: {
      getItem: (/** @type {string} */ key) => storage.get(key) ?? null,
      setItem: (/** @type {string} */ key, /** @type {string} */ value) => void storage.set(key, value),
    },
    fetch: async () => {
      asked += 1;
      return answer();
    },
  });
  Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true }); // without locks
  performance.now = () => now;
  answer = () => guest(`${asked}`);
});

/** @param {string} id */
const guest = (id) => Response.json({ token: `token ${id}`, user: { id, name: "Ada" } }, { status: 201 });

/** Have the browser answer like this when it is asked for a lock. @param {any} request */
const lockBy = (request) =>
  Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true });

/** @param {Promise<void>} promise @returns {Promise<IdentityError>} */
const refusal = (promise) =>
  promise.then(
    () => assert.fail("expected a refusal"),
    (error) => error,
  );

test("a guest is made once, and again when the token was refused", async () => {
  const identity = new Identity();
  await identity.become("Ada");
  assert.equal(await identity.token(false), "token 1");
  assert.equal(await identity.token(true), "token 2");
  assert.equal(asked, 2);
});

test("a fresh token from a welcome is used, and kept over a reload", async () => {
  const identity = new Identity();
  await identity.become("Ada");
  await identity.renew("fresh", { id: "1", name: "Ada" });
  assert.equal(await identity.token(false), "fresh");
  assert.equal(await new Identity().token(false), "fresh");
  assert.equal(asked, 1);
});

for (const [what, response, message, wait_ms] of /** @type {[string, () => Response, RegExp, number][]} */ ([
  [
    "with a sentence and a time",
    () =>
      Response.json(
        { code: "too_many", message: "Too many guests." },
        { status: 429, headers: { "retry-after": "7" } },
      ),
    /^Too many guests\.$/,
    7_000,
  ],
  ["in the way of a proxy", () => new Response("<h1>429</h1>", { status: 429 }), /your network/, 10_000],
  [
    "with a date",
    () => new Response("", { status: 429, headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" } }),
    /your network/,
    10_000,
  ],
  [
    "for a very long time",
    () => Response.json({ message: "No." }, { status: 429, headers: { "retry-after": "999999999" } }),
    /^No\.$/,
    600_000,
  ],
  [
    "because the server is full",
    () => Response.json({ message: "The hall is full." }, { status: 503, headers: { "retry-after": "5" } }),
    /^The hall is full\.$/,
    5_000,
  ],
])) {
  test(`a refusal ${what}: its sentence is shown, and nobody asks sooner`, async () => {
    const identity = new Identity();
    answer = response;
    const error = await refusal(identity.become("Ada"));
    assert.ok(error instanceof IdentityError);
    assert.match(error.message, message);
    assert.equal(error.wait_ms, wait_ms);
    answer = () => guest("later");
    now = wait_ms - 1;
    const again = await refusal(identity.become("Grace"));
    assert.match(again.message, message);
    assert.deepEqual([asked, again.wait_ms], [1, 1]);
    now = wait_ms;
    await identity.become("Grace");
    assert.equal(await identity.token(false), "token later");
  });
}

for (const [what, response, message] of /** @type {[string, () => Response, RegExp][]} */ ([
  [
    "bad name",
    () => Response.json({ code: "bad_name", message: "Please enter a name." }, { status: 400 }),
    /^Please enter a name\.$/,
  ],
  ["no JSON", () => new Response("<h1>502</h1>", { status: 502 }), /cannot be reached/],
  ["an empty page", () => new Response("", { status: 200 }), /cannot be reached/],
  [
    "no network",
    () => {
      throw new TypeError("fetch failed");
    },
    /cannot be reached/,
  ],
])) {
  test(`${what}: a sentence, and one may try again at once`, async () => {
    const identity = new Identity();
    answer = response;
    const error = await refusal(identity.become("Ada"));
    assert.match(error.message, message);
    assert.equal(error.wait_ms, 0);
    assert.equal(error.isOfName, what === "bad name");
    answer = () => guest("x");
    await identity.become("Ada");
  });
}

for (const [what, request] of /** @type {const} */ ([
  ["rejects", () => Promise.reject(new DOMException("blocked", "SecurityError"))],
  [
    "throws",
    () => {
      throw new DOMException("blocked", "SecurityError");
    },
  ],
  ["never answers", () => new Promise(() => {})],
])) {
  test(`a browser whose lock ${what} keeps nobody out`, async ({ mock }) => {
    mock.timers.enable({ apis: ["setTimeout"] });
    lockBy(request);
    const identity = new Identity();
    const become = identity.become("Ada");
    await settle();
    mock.timers.tick(2_000);
    await become;
    const restored = new Identity().restore();
    mock.timers.tick(2_000);
    assert.equal(await restored, true);
  });
}

test("a tab whose person is in another tab keeps the name only", async () => {
  await new Identity().become("Ada");
  lockBy(async (/** @type {string} */ _, /** @type {object} */ __, /** @type {any} */ use) => use(null));
  const copy = new Identity();
  assert.equal(await copy.restore(), false);
  assert.equal(copy.name, "Ada");
  assert.equal(await copy.token(false), "token 2");
});

test("who came in as somebody else while the lock was asked for stays that", async () => {
  await new Identity().become("Ada");
  /** @type {() => void} */
  let answerLock = () => {};
  const waiting = new Promise((resolve) => (answerLock = () => resolve(undefined)));
  lockBy(async (/** @type {string} */ name, /** @type {object} */ _, /** @type {any} */ use) => {
    if (name.endsWith(".1")) await waiting;
    return use(null);
  });
  const identity = new Identity();
  const restored = identity.restore();
  await identity.become("Ada");
  answerLock();
  assert.equal(await restored, false);
  assert.equal(await identity.token(false), "token 2");
});

test("a guest that comes too late is not taken", async () => {
  const identity = new Identity();
  const attempt = new AbortController();
  const late = identity.become("Ada", attempt.signal);
  attempt.abort();
  await late;
  assert.equal(identity.id, "");
});

test("a tab enters as the guest whose token it was given, also while a new one is made for it", async () => {
  const identity = new Identity();
  assert.equal(identity.enters("Ada"), false, "it is nobody yet");
  await identity.become("Ada");
  assert.equal(identity.enters("Ada"), false, "nobody has asked for the token");
  await identity.token(false);
  assert.deepEqual([identity.enters("Ada"), identity.enters("Grace")], [true, false]);
  /** @type {boolean[]} */
  const meanwhile = [];
  lockBy(
    async (/** @type {string} */ _, /** @type {object} */ __, /** @type {(lock: object) => void} */ take) => {
      meanwhile.push(identity.enters("Ada"));
      take({});
    },
  );
  await identity.token(true);
  assert.deepEqual([...meanwhile, identity.enters("Ada")], [true, true]);
  await identity.renew("fresh", { id: "9", name: "Ada" });
  assert.equal(identity.enters("Ada"), true, "the server knows it as somebody else");
  await identity.become("Ada");
  assert.equal(identity.enters("Ada"), false, "what was given up too late has made another guest");
});
