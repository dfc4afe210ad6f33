/**
 * Which videos have a picture to show. A video without one is a black box in some browsers, so it has the class
 * `framed` from its first picture on, and the style sheets show no other.
 */

/** @param {Document} page */
export function markFrames(page) {
  for (const event of ["loadeddata", "resize", "emptied"]) {
    page.addEventListener(event, mark, { capture: true });
  }
}

/** @param {Event} event */
function mark({ target }) {
  if (!(target instanceof HTMLVideoElement)) return;
  const framed = target.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && target.videoWidth > 0;
  target.classList.toggle("framed", framed);
}
