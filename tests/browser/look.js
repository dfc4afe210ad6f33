/**
 * Runs in a tab of any browser, beside watch.js: finds on the page what a person looks for, and where to press it.
 */
const look = {
  /** @param {Element} element */
  sees: (element) =>
    element.getClientRects().length > 0 && getComputedStyle(element).visibility === "visible",

  /** @param {Element} element */
  says: (element) => (element.textContent ?? "").replace(/\s+/g, " ").trim(),

  /** What each of these says, in the order of the page. @param {string} selector */
  texts: (selector) => [...document.querySelectorAll(selector)].filter(look.sees).map(look.says),

  /** How many pictures a video has shown, as of the next one; 0 if none comes. @param {string} selector */
  pictures: (selector) =>
    new Promise((resolve) => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector(selector));
      video.requestVideoFrameCallback((_, { presentedFrames }) => resolve(presentedFrames));
      setTimeout(() => resolve(0), 1000);
    }),

  /** In how many places this can be read: in the innermost elements that say it. @param {string} source @param {string} flags */
  places(source, flags) {
    const pattern = new RegExp(source, flags);
    const saying = [...document.body.querySelectorAll("*")].filter((element) =>
      pattern.test(look.says(element)),
    );
    const innermost = saying.filter(
      (element) => ![...element.children].some((child) => saying.includes(child)),
    );
    return innermost.filter((element) => look.sees(element) && !element.closest("script, style, noscript"))
      .length;
  },

  /** The button of this name. @param {string} label */
  button: (label) =>
    [...document.querySelectorAll("button")]
      .filter(look.sees)
      .find((button) => (button.ariaLabel ?? button.innerText.replace(/\s+/g, " ").trim()) === label),

  /** How wide it is, in pixels. @param {string} selector */
  width: (selector) => document.querySelector(selector)?.getBoundingClientRect().width,

  /** Where its middle is, whatever covers it. @param {Element} element @returns {[number, number]} */
  middle(element) {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [Math.floor(x + width / 2), Math.floor(y + height / 2)];
  },

  /** Where to press an element, once it stands still, is enabled and nothing covers it. @param {Element | null | undefined} element */
  async spot(element) {
    if (!element || !look.sees(element) || element.matches(":disabled")) return null;
    element.scrollIntoView({ block: "nearest", behavior: "instant" });
    const before = element.getBoundingClientRect();
    await new Promise(requestAnimationFrame);
    const { x, y, width, height } = element.getBoundingClientRect();
    const stands = ["x", "y", "width", "height"].every(
      (side) => Reflect.get(before, side) === { x, y, width, height }[side],
    );
    const middle = look.middle(element);
    return stands && element.contains(document.elementFromPoint(...middle)) ? middle : null;
  },
};

Object.assign(window, { look });
