/**
 * Formats durations. The server sends durations and never clock times, so the page only needs the time since a frame
 * arrived.
 */

/**
 * @param {number} ms
 * @returns {string} "0:07", "12:40", "1:02:03"
 */
export function spell(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  const tail = parts.map((part) => String(part).padStart(2, "0")).join(":");
  return hours > 0 ? `${hours}:${tail}` : tail.replace(/^0/, "");
}
