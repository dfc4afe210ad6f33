/** How many people are here, for a page that has no connection which would tell it. */

/** @typedef {{ online: number, searching: number }} Presence */

const ANSWER_LIMIT_MS = 10_000;

/** The count that the page brought along. @param {HTMLElement} place @returns {Presence} */
export function broughtBy({ dataset }) {
  return { online: Number(dataset.online), searching: Number(dataset.searching) };
}

/**
 * Ask for the count whenever the person comes back to a tab without a connection.
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

/** @returns {Promise<Presence | null>} null: the server does not say */
async function ask() {
  try {
    const answer = await fetch("/api/presence", { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}
