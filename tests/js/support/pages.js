import { Signaling } from "../../../web/static/js/signaling.js";
import { FakeWorld } from "./sockets.js";

export const IN_CALL = { state: "connected", session: "s" };

/** Somebody at a page who is in the call of session "s". @param {object} [welcome] */
export async function inCall(welcome = { heard: 0 }) {
  const world = new FakeWorld();
  const signaling = new Signaling({
    url: "ws://hall/ws",
    identify: async () => "token",
    onFrame: () => {},
    onLink: () => {},
    environment: world.environment,
  });
  /** What became of what was said, in order. @type {[string, string][]} */
  const fates = [];
  /** @param {string} text */
  const say = (text) =>
    signaling.send({ type: "chat", session: "s", text }, (fate) => fates.push([text, fate]));
  signaling.start();
  await world.welcome(welcome, IN_CALL);
  return { world, signaling, clock: world.clock, fates, say };
}

/** @typedef {Awaited<ReturnType<typeof inCall>>} Page */

/** The line drops, and the page knocks again. @param {Page} page */
export async function drop({ world, clock }) {
  world.socket.hangUp(1006);
  const { length } = world.sockets;
  while (world.sockets.length === length) await clock.pass(100);
}

/** What was written on this line, in short. @param {Page} page */
export const written = ({ world }) =>
  world.socket.sent.slice(1).map(({ type, text, n }) => [n, ...(text === undefined ? [type] : [text])]);
