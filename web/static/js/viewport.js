/**
 * The part of the window that can be seen. Where a keyboard on the screen lies over the page instead of making the
 * window smaller (Safari), the page is told how much is left, and where: `--seen-height` and `--seen-top`.
 */

/** Have the page fit above the keyboard, from now on. */
export function followKeyboard() {
  const { visualViewport } = window;
  if (!visualViewport) return;
  visualViewport.addEventListener("resize", fit);
  visualViewport.addEventListener("scroll", fit);
}

/** A person who zooms in with two fingers sees less as well, and wants nothing to move. */
function fit() {
  const { style } = document.documentElement;
  const seen = /** @type {VisualViewport} */ (window.visualViewport);
  const covered = seen.scale === 1 && seen.height < innerHeight - 1;
  style.setProperty("--seen-height", covered ? `${seen.height}px` : "");
  document.body.style.translate = covered ? `0 ${seen.offsetTop}px` : "";
}
