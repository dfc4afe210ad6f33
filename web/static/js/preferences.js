/**
 * What a person has chosen and finds again at the next visit. It is kept in this browser and told to nobody.
 * It owns the names under which this is kept in localStorage.
 */

/** @typedef {"devices" | "ring"} Name */

/** What was chosen last; null if nothing was, or storage is switched off, or holds what is not ours. @param {Name} name @returns {any} */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`studymatch.${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Keep this for the next visit, if storage is not switched off. @param {Name} name @param {unknown} choice */
export function remember(name, choice) {
  try {
    localStorage.setItem(`studymatch.${name}`, JSON.stringify(choice));
  } catch {
    // It holds until the page is closed.
  }
}
