/**
 * What the page does when the server has closed its connection, and what it says to its person then. Pure.
 */

import { AFTER_CLOSE, CLOSE_CODES } from "./protocol.js";

/** @typedef {import("./protocol.js").AfterClose} AfterClose */

/** For each close after which the page does not come back soon. @type {ReadonlyMap<number, string>} */
const SENTENCES = new Map([
  [CLOSE_CODES.TOO_BIG, "This page sent a message that was too long. Reload the page to go on."],
  [CLOSE_CODES.NO_HELLO, "This page and the server do not understand each other. Reload the page to go on."],
  [
    CLOSE_CODES.BAD_TOKEN,
    "The server does not let this page in, not even as a new guest. Its clock or its settings may be wrong." +
      " Please try again in a few minutes.",
  ],
  [CLOSE_CODES.CONNECTED_ELSEWHERE, "You came in with another tab, and each person has one at a time."],
  [CLOSE_CODES.TOO_MANY, "Too much came from this page or from your network, so the server asks it to wait."],
]);

/**
 * What follows the close of a connection with this code.
 * @param {number} code any; one that the protocol does not name means that the connection was lost
 * @returns {{ then: AfterClose, message: string }} what to do, and why, as a sentence for the person; "" for none
 */
export function afterClose(code) {
  return { then: AFTER_CLOSE.get(code) ?? "soon", message: SENTENCES.get(code) ?? "" };
}
