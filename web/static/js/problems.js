/**
 * Texts for devices that did not open: the reason, what to do about it, and what the person can use instead. Pure.
 */

/** @typedef {"camera" | "microphone" | "both"} Device */
/** @typedef {"busy" | "refused" | "missing" | "insecure" | "broken" | "unanswered" | "no_calls"} Reason */
/** @typedef {{ audio: boolean, video: boolean }} Want */

/**
 * Why a device did not open (or calls are impossible), what to do about it, and what the person can use instead.
 * @typedef {object} Problem
 * @property {Device} device
 * @property {Reason} reason
 * @property {string} title
 * @property {string} advice
 * @property {Want | null} fallback
 * @property {string} fallbackLabel
 */

/** @type {Record<Device, string>} */
const NAMES = { camera: "camera", microphone: "microphone", both: "camera and microphone" };

/**
 * @param {Reason} reason
 * @param {Want} want what was asked for
 * @param {Device} device the device that failed
 * @returns {Problem}
 */
export function describe(reason, want, device) {
  const fallback = without(reason, want, device);
  return {
    device,
    reason,
    ...sentences(reason, NAMES[device]),
    fallback,
    fallbackLabel: label(fallback),
  };
}

/**
 * What to offer instead. People mostly refuse the camera, so the microphone alone is worth another prompt.
 * @param {Reason} reason
 * @param {Want} want
 * @param {Device} device
 * @returns {Want}
 */
function without(reason, want, device) {
  const mayTryAudio = reason === "refused" || reason === "unanswered";
  if (device === "both") return { audio: mayTryAudio && want.audio, video: false };
  return { audio: want.audio && device !== "microphone", video: want.video && device !== "camera" };
}

/** @param {Want} fallback */
function label(fallback) {
  if (fallback.audio) return "Continue without camera";
  if (fallback.video) return "Continue without microphone";
  return "Continue without camera and microphone";
}

/**
 * @param {Reason} reason
 * @param {string} device
 * @returns {{ title: string, advice: string }}
 */
function sentences(reason, device) {
  const are = device.includes("and") ? "are" : "is";
  switch (reason) {
    case "busy":
      return {
        title: `Your ${device} ${are} busy`,
        advice: "Another program or browser tab is using it. Close that call or program, then try again.",
      };
    case "refused":
      return {
        title: `Your ${device} ${are} blocked`,
        advice:
          "The browser was told not to share with this page. Click the icon beside the address, allow it, then try again.",
      };
    case "missing":
      return {
        title: `No ${device} found`,
        advice: "Plug one in or switch it on, then try again.",
      };
    case "unanswered":
      return {
        title: `The browser did not open your ${device}`,
        advice:
          "It may still be asking, beside the address of this page: allow it there. If it does not ask, another program may be in its way.",
      };
    case "insecure":
      return {
        title: "Cameras need a secure page",
        advice:
          "Browsers share a camera or microphone only with pages whose address begins with https:// (or on localhost). Open this page that way.",
      };
    default:
      return {
        title: `Your ${device} did not start`,
        advice: "Unplug it and plug it in again, or restart the browser, then try again.",
      };
  }
}
