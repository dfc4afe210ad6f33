/**
 * When does media flow? The rule by which this side tells the server that the call has become one.
 * Pure: the counts come in, the answer goes out.
 */

/** What a side sends at the moment: is its microphone on, is its camera on. @typedef {{ audio: boolean, video: boolean }} Sending */

/**
 * @typedef {object} Evidence
 * @property {number} up_ms how long the peer connection has been up
 * @property {Sending | null} partner what the partner says it sends; null: it has not said
 * @property {Sending} received of which kinds a packet has arrived
 */

/**
 * How long to hold out for everything that was announced. After it, one kind is enough, and a connection on which
 * nothing comes (a camera behind a closed shutter sends nothing) counts too: the person can see for themselves.
 */
export const PATIENCE_MS = 2_000;

/**
 * @param {Evidence} evidence
 * @returns {boolean} true when this side can honestly say "connected"
 */
export function flows({ up_ms, partner, received }) {
  if (up_ms >= PATIENCE_MS) return true;
  if (!partner) return false;
  return (!partner.audio || received.audio) && (!partner.video || received.video);
}

/**
 * Of which kinds has anything arrived?
 * @param {Iterable<any>} reports of `RTCPeerConnection.getStats()`
 * @returns {Sending}
 */
export function arrived(reports) {
  const received = { audio: false, video: false };
  for (const report of reports) {
    if (report.type !== "inbound-rtp" || !(report.packetsReceived > 0)) continue;
    if (report.kind === "audio") received.audio = true;
    if (report.kind === "video") received.video = true;
  }
  return received;
}
