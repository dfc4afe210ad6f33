/**
 * Runs in a tab of any browser, beside watch.js and look.js: measures what lies where, and lists what is wrong.
 */

/* global look, watch */

/** Of these, none may lie over another. */
const PIECES = [
  ...["#link", "#stage-note", "#notice", "#go-on", "#allow-sound", ".nameplate", ".self", "#seat-note"],
  ...[".empty-seat .initial", "#chat header", "#messages", "#chat-newest", "#chat-form", ".control"],
];
/** What the partner is seen on, and what may only lie beside it. */
const BESIDE_THE_STAGE = [".stage", "#chat", ".control"];
/** In the hall, what is read stands one below the other, and above the buttons if all of it has room. */
const READ = ["#hall-title", "#waited", "#network-advice"];
/** What is said over a scene may cover none of it that is used. */
const USED = ["#link", "#notice", ".scene button", ".scene input"];
const FINGER_PX = 44;
const APART_PX = 16;

const layout = {
  /** Everything that is wrong with the scene, whose buttons these selectors name. @param {string[]} buttons */
  faults: (buttons) => [
    ...buttons.flatMap(unreachable),
    ...wide(),
    ...[PIECES, BESIDE_THE_STAGE, hall(), USED].flatMap(overlaps),
    ...fingers(),
  ],

  /** Have all at once on the page that can be said over it. @param {string} text */
  crowd(text) {
    say("link", "Reconnecting…");
    watch.hear({ type: "error", seq: 0, code: "wait", message: text });
    for (const button of document.querySelectorAll(".offers button")) button.toggleAttribute("hidden", false);
  },

  /** Nothing is on its way to somewhere, and all can be pressed. */
  rests: () =>
    !document.querySelector("[inert]") &&
    document.getAnimations().every((animation) => animation.effect?.getComputedTiming().endTime === Infinity),

  /** What the buttons that can be pressed are surrounded by when they have the focus: 1 is the least contrast. */
  rings: () => shown("button:enabled, input, [tabindex='0']").map(ring),
};

Object.assign(window, { layout });

/** @param {string} id @param {string} text */
function say(id, text) {
  /** @type {Element} */ (document.getElementById(id)).textContent = text;
}

/** What of these can be seen, and says or is something. @param {string} selector @returns {HTMLElement[]} */
function shown(selector) {
  const found = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(selector)]);
  return found.filter(
    (element) => look.sees(element) && !(element.matches("p") && look.says(element) === ""),
  );
}

/** @param {Element} element */
function called(element) {
  return element.id || element.className || element.tagName;
}

/** @param {string} selector */
function unreachable(selector) {
  const [element] = shown(selector);
  if (!element) return [`${selector} is not there`];
  const { left, top, right, bottom, x, y, width, height } = element.getBoundingClientRect();
  const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
  if (!inside) return [`${selector} is not in sight: ${[left, top, right, bottom].map(Math.round)}`];
  const above = document.elementFromPoint(x + width / 2, y + height / 2);
  return element.contains(above) ? [] : [`${selector} is covered by ${above && called(above)}`];
}

function hall() {
  const { scrollHeight, clientHeight } = /** @type {Element} */ (document.querySelector(".hall"));
  return scrollHeight > clientHeight ? READ : [...READ, ".hall button"];
}

/** What is wider than its place, or sticks out of the page. */
function wide() {
  const texts = shown(
    "main p, main h2:not(.who), main button, main label, .notes p, .brand, .presence, .nameplate",
  );
  const long = texts.filter((text) => text.scrollWidth > text.clientWidth + 1 && text.clientWidth > 0);
  const out = shown("body *:not(.unseen, .ring, svg, svg *)").filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return (left < -0.5 || right > innerWidth + 0.5) && !element.closest(".unseen, bdi, .who");
  });
  const scrolls = document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [];
  return [
    ...long.map((text) => `${called(text)} is wider than its place`),
    ...out.map((element) => `${called(element)} sticks out`),
    ...scrolls,
  ];
}

/** @param {string[]} selectors */
function overlaps(selectors) {
  const pieces = shown(selectors.join());
  return pieces.flatMap((one, index) =>
    pieces
      .slice(index + 1)
      .filter((other) => cover(one.getBoundingClientRect(), other.getBoundingClientRect()))
      .map((other) => `${called(one)} lies over ${called(other)}`),
  );
}

/** @param {DOMRect} one @param {DOMRect} other */
function cover(one, other) {
  const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
  return width > 1 && height > 1;
}

/** Buttons that a finger misses, or that it meets instead of another. */
function fingers() {
  const small = shown("button").filter((button) => {
    const { width, height } = button.getBoundingClientRect();
    return Math.min(width, height) < FINGER_PX;
  });
  const [skip, end] = ["#skip", "#end"].map((id) => shown(id)[0]?.getBoundingClientRect());
  const gap =
    skip && end ? Math.max(end.left - skip.right, skip.left - end.right, end.top - skip.bottom) : 99;
  return [
    ...small.map((button) => `${called(button)} is too small for a finger`),
    ...(gap < APART_PX ? [`End is ${gap} px from Skip`] : []),
  ];
}

/** @param {HTMLElement} element */
function ring(element) {
  element.focus(/** @type {FocusOptions} */ ({ focusVisible: true }));
  const { outlineStyle, outlineColor, outlineWidth, outlineOffset, boxShadow } = getComputedStyle(element);
  const [, band, spread] = /^(rgb\([^)]*\)) 0px 0px 0px ([\d.]+)px/.exec(boxShadow) ?? [];
  const width = parseFloat(outlineWidth);
  const offset = parseFloat(outlineOffset);
  const reach = offset < 0 ? -offset : offset + width;
  // With the band on either side of it, the outline is seen against the band, and not against what lies below.
  const stands = outlineStyle === "solid" && width >= 2 && band && Number(spread) >= reach + 2;
  return { of: called(element), contrast: stands ? contrast(outlineColor, band) : 1 };
}

/** As WCAG counts it. @param {string} one @param {string} other */
function contrast(one, other) {
  const both = [luminance(one), luminance(other)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}

/** How much of the light of each colour counts. */
const WEIGHTS = [0.2126, 0.7152, 0.0722];

/** @param {string} color */
function luminance(color) {
  const parts = (color.match(/[\d.]+/g) ?? []).map((part) => Number(part) / 255);
  const light = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return WEIGHTS.reduce((sum, weight, index) => sum + weight * (light[index] ?? 0), 0);
}
