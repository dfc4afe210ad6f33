/**
 * Shows an error when the page does not start, so that nobody is left with buttons that do nothing.
 *
 * It is not a module, and is written in ECMAScript 5, because it has to run where modules do not. It is deferred, so it
 * runs once the page is parsed and before any module. The page has started when `alive.js` has set `data-alive`. If this
 * script does not load either, the style sheet shows the note after a while.
 */
(function () {
  "use strict";

  /** Counted from the start of this script: the browser does not fire `load` while a script is loading. */
  var LATE_MS = 15000;
  /** Once everything has loaded, starting takes a moment. */
  var AFTER_LOAD_MS = 3000;

  var MISSING = "Part of this page did not load. Check your connection, then reload.";
  var FAILED = "This page could not start. Reload it, and if that does not help, use another browser.";
  var OLD = "This browser is too old for studymatch. Please update it, or use another one.";
  var LATE = "This page takes long to load. Check your connection, or reload.";

  var root = document.documentElement;
  var folder = "/s/" + root.getAttribute("data-build") + "/";

  /** Only the first error is shown, since it causes the others. */
  var isTold = false;

  function isAlive() {
    return root.hasAttribute("data-alive");
  }

  /** @param {any} url */
  function isOurs(url) {
    return String(url).indexOf(folder) !== -1;
  }

  /** @param {string} sentence @param {string} [kind] `lasting`: also stays on a page that has started */
  function tell(sentence, kind) {
    var note = document.getElementById("boot");
    var why = document.getElementById("boot-why");
    if (isTold || !note || !why) return;
    isTold = true;
    why.textContent = sentence;
    note.className += " " + (kind || "told");
  }

  function tellIfDead() {
    if (!isAlive()) tell(LATE);
  }

  /** @param {any} link of a style sheet; if it did not load, it has no `sheet`, or one without rules */
  function isMissing(link) {
    try {
      return link.sheet.cssRules.length === 0;
    } catch (_) {
      return true;
    }
  }

  function checkStyles() {
    var links = document.querySelectorAll("link[rel=stylesheet]");
    for (var i = 0; i < links.length; i += 1) {
      if (isMissing(links[i])) tell(MISSING, "lasting");
    }
  }

  function afterLoad() {
    checkStyles();
    setTimeout(tellIfDead, AFTER_LOAD_MS);
  }

  /** @param {any} event of a module that threw, or of an element whose file did not load */
  function fail(event) {
    var target = event.target;
    if (isAlive()) return;
    if (target.tagName === "SCRIPT" && isOurs(target.src)) tell(MISSING);
    if (target === window && isOurs(event.filename)) tell(sentenceFor(event.message));
  }

  /** @param {string} message of what was thrown */
  function sentenceFor(message) {
    return /SyntaxError/.test(message) && !/(im|ex)port/.test(message) ? OLD : FAILED;
  }

  if (!("noModule" in document.createElement("script"))) return tell(OLD);
  addEventListener("error", fail, true);
  addEventListener("load", afterLoad);
  setTimeout(tellIfDead, LATE_MS);
})();
