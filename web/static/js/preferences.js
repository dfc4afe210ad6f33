/**
 * Choices of the person that are kept for the next visit, only in this browser.
 * It owns their keys in localStorage.
 */

/** @typedef {"devices" | "ring"} Name */

/** The last choice; null if there is none, storage is blocked, or the entry is invalid. @param {Name} name @returns {any} */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`studymatch.${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Keep this for the next visit, if storage is not blocked. @param {Name} name @param {unknown} choice */
export function remember(name, choice) {
  try {
    localStorage.setItem(`studymatch.${name}`, JSON.stringify(choice));
  } catch {
    // The choice is lost when the page is closed.
  }
}
