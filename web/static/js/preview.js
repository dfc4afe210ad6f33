/**
 * The preview of the own camera outside of a call: a copy of the camera's track with a lower frame rate and resolution,
 * which costs less to draw on a computer without a GPU. The track for the call does not change. It owns the copy, and
 * stops it when the preview ends.
 */

/** Enough for a small preview, in the aspect ratio requested from the camera. */
const SMALL = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { max: 12 } };

export class Preview {
  /** @type {MediaStreamTrack | null} */
  #camera = null;
  /** @type {MediaStream | null} */
  #stream = null;

  /**
   * The preview stream of this camera: the same one until the camera changes.
   * @param {MediaStreamTrack | null} camera null stops the copy
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
  copy.applyConstraints({ ...copy.getConstraints(), ...SMALL }).catch(() => {}); // a camera that cannot keeps its settings
  return copy;
}
