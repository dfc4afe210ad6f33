/** The moment from which the page does what people ask of it. Until then it submits nothing: see boot.js. */

/** Every handler is in place: people may press now, and a note that the page is not there yet goes away. */
export function comeAlive() {
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (
    document.querySelectorAll("button[type=submit]")
  )) {
    button.disabled = false;
  }
  document.documentElement.dataset.alive = "";
}
