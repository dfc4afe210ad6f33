/**
 * The own picture while nobody else sees it: a copy of the camera's track with fewer and smaller pictures, which cost
 * less to draw on a computer without a GPU. The track of the call is left as it is. It owns the copy, which ends when
 * the preview does.
 */

/** Enough for a small picture of oneself, in the proportions that the camera was asked for. */
const SMALL = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { max: 12 } };

export class Preview {
  /** @type {MediaStreamTrack | null} */
  #camera = null;
  /** @type {MediaStream | null} */
  #stream = null;

  /**
   * What shows this camera cheaply: the same stream until another camera is given, or none.
   * @param {MediaStreamTrack | null} camera null lets go of the copy
   */
  of(camera) {
    if (camera === this.#camera) return this.#stream;
    for (const copy of this.#stream?.getTracks() ?? []) copy.stop();
    this.#camera = camera;
    this.#stream = camera && new MediaStream([cheaper(camera)]);
    return this.#stream;
  }
}

/** @param {MediaStreamTrack} camera */
function cheaper(camera) {
  const copy = camera.clone();
  copy.applyConstraints({ ...copy.getConstraints(), ...SMALL }).catch(() => {}); // one that cannot goes on as before
  return copy;
}
