/** Marks the page as ready. Until then its submit buttons are disabled: see boot.js. */

/** Call it once every handler is attached: enables the buttons, and hides the note that the page is loading. */
export function comeAlive() {
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (
    document.querySelectorAll("button[type=submit]")
  )) {
    button.disabled = false;
  }
  document.documentElement.dataset.alive = "";
}
