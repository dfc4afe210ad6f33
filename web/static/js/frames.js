/**
 * Marks videos that have a frame to show. Some browsers draw a video without one as a black box. So this module sets the
 * class `framed` at the first frame, and the style sheets hide all other videos.
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
