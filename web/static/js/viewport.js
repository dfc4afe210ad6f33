/**
 * The visible part of the window. Where an on-screen keyboard covers the page instead of resizing the window (Safari),
 * this module sets its height and position in `--seen-height` and `--seen-top`.
 */

/** Keep the page above the keyboard, from now on. */
export function followKeyboard() {
  const { visualViewport } = window;
  if (!visualViewport) return;
  visualViewport.addEventListener("resize", fit);
  visualViewport.addEventListener("scroll", fit);
}

/** Does nothing while the person has zoomed in, which also reduces the visible part. */
function fit() {
  const { style } = document.documentElement;
  const seen = /** @type {VisualViewport} */ (window.visualViewport);
  const covered = seen.scale === 1 && seen.height < innerHeight - 1;
  style.setProperty("--seen-height", covered ? `${seen.height}px` : "");
  document.body.style.translate = covered ? `0 ${seen.offsetTop}px` : "";
}
