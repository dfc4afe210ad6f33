/**
 * Reads what the server says, which may be of an older or a newer build than the page: text comes in, a frame goes
 * out. Pure.
 */

/** @typedef {import("./protocol.js").ServerFrame} ServerFrame */

/** What is drawn before the server has said anything. @type {import("./protocol.js").Snapshot} */
export const NOWHERE = {
  type: "state",
  seq: 0,
  state: "idle",
  session: null,
  initiator: false,
  partner: null,
  sound: null,
  cue: null,
  since_ms: 0,
  deadline_ms: null,
  search_again_ms: null,
  cause: null,
  message: null,
};

/**
 * @param {unknown} text
 * @returns {ServerFrame | null} null for what is no frame: a later server may say things that we do not know
 */
export function readFrame(text) {
  if (typeof text !== "string") return null;
  try {
    const frame = JSON.parse(text);
    // So was its name on a server that has yet to be upgraded.
    if (frame?.type === "state") readSnapshot(frame);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}

/** A server that has yet to be upgraded says under another name when it searches again. @param {any} snapshot */
function readSnapshot(snapshot) {
  if (snapshot.search_again_ms === undefined) snapshot.search_again_ms = snapshot.search_again_in;
}
