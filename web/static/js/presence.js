/** How many people are here, for a page without a connection to the server. */

/** @typedef {{ online: number, searching: number }} Presence */

const ANSWER_LIMIT_MS = 10_000;

/** The count in the HTML of the page. @param {HTMLElement} place @returns {Presence} */
export function broughtBy({ dataset }) {
  return { online: Number(dataset.online), searching: Number(dataset.searching) };
}

/**
 * Request the count whenever a tab without a connection becomes visible.
 * @param {() => boolean} isOff whether there is none
 * @param {(presence: Presence) => void} tell
 */
export function keepCounted(isOff, tell) {
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible" || !isOff()) return;
    const presence = await ask();
    if (presence && isOff()) tell(presence);
  });
}

/** @returns {Promise<Presence | null>} null: the server did not answer */
async function ask() {
  try {
    const answer = await fetch("/api/presence", { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
