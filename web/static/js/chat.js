/**
 * The chat beside a call: a panel with the texts of this session, which is cleared when the session ends.
 * It owns the panel's elements, whether it is open, and the number of unread texts: a text is read when the panel is open
 * and the page is visible. It does not send: `onSay` gets the text.
 */

import { CHAT_MAX_CHARS } from "./protocol.js";
import { followKeyboard } from "./viewport.js";
import { unreadCount } from "./words.js";

/** @typedef {import("./said.js").Fate} Fate */

/** Older messages are removed from the panel, which bounds its memory. */
const MESSAGES_MAX = 300;
/** Within this distance from its end, in CSS pixels, the panel counts as scrolled to the end. */
const END_PX = 8;

/** The note below a text that the server has not acknowledged at once. @type {Record<Fate, string>} */
const NOTES = {
  waits: "Sending…",
  heard: "Sent",
  refused: "Not sent",
  lost: "Not sent",
  unsure: "Perhaps not sent",
};

export class Chat {
  #panel;
  #opener;
  #messages;
  #newest;
  #text;
  #badge;
  #onSay;
  #onUnread;
  #unread = 0;
  /** Does the panel stay scrolled to its end? Not while the person reads further up. */
  #follows = true;
  /** The heights of the content and of its visible part at the last `#keepUp`. */
  #sizes = "";
  /** @type {string | null} */
  #session = null;

  /**
   * @param {(id: string) => any} element finds an element of the page
   * @param {(text: string, onFate: (fate: Fate) => void) => boolean} onSay returns false if nothing can be sent now:
   *   the text stays in the field. `onFate` is called with each change of the text's fate.
   * @param {(unread: number) => void} onUnread called when the number of unread texts changes
   */
  constructor(element, onSay, onUnread) {
    this.#panel = element("chat");
    this.#opener = element("chat-open");
    this.#messages = element("messages");
    this.#newest = element("chat-newest");
    this.#text = element("chat-text");
    this.#badge = element("unread");
    this.#onSay = onSay;
    this.#onUnread = onUnread;
    this.#opener.onclick = () => this.#show(this.#panel.hidden);
    element("chat-close").onclick = () => this.#show(false);
    this.#newest.onclick = () => this.#goToEnd();
    this.#messages.onscroll = () => this.#scrolled();
    // A keyboard that opens makes the panel smaller; keep the newest message visible.
    new ResizeObserver(() => this.#keepUp()).observe(this.#messages);
    followKeyboard();
    element("chat-form").onsubmit = (/** @type {Event} */ event) => this.#submit(event);
    this.#panel.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#show(false);
    };
    document.addEventListener("visibilitychange", () => this.#look());
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** The session to which it belongs; null: there is none. */
  get session() {
    return this.#session;
  }

  /**
   * Show the chat of this session. A new session starts with an empty, closed panel; an unsent draft stays.
   * @param {string | null} session
   * @param {boolean} open can texts be sent now?
   */
  draw(session, open) {
    if (session !== this.#session) {
      this.#session = session;
      this.#messages.replaceChildren();
      this.#keepUp(true);
      this.#panel.hidden = true;
      this.#count(0);
    }
    this.#opener.disabled = !open;
    this.#opener.ariaExpanded = String(!this.#panel.hidden);
  }

  /** @param {string} name who wrote it @param {string} text @returns {boolean} is it read at once? */
  hear(name, text) {
    this.#append(message("theirs", name, text));
    this.#newest.hidden = this.#follows;
    this.#keepUp();
    if (!this.#isSeen) this.#count(this.#unread + 1);
    return this.#isSeen;
  }

  get #isSeen() {
    return this.isOpen && document.visibilityState === "visible";
  }

  /** The panel or the page was shown or hidden: visible texts count as read. */
  #look() {
    if (this.#isSeen) this.#count(0);
  }

  /** @param {boolean} open */
  #show(open) {
    this.#panel.hidden = !open;
    this.#opener.ariaExpanded = String(open);
    this.#look();
    (open ? this.#text : this.#opener).focus();
    this.#keepUp(true);
  }

  /** Scroll to the newest message, without opening a phone's keyboard. */
  #goToEnd() {
    this.#messages.focus({ preventScroll: true });
    this.#keepUp(true);
  }

  /** The browser also scrolls when sizes change; only scrolling by the person stops following the end. */
  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#messages;
    if (this.#sizes !== `${scrollHeight} ${clientHeight}`) return this.#keepUp();
    this.#follows = scrollHeight - scrollTop - clientHeight <= END_PX;
    if (this.#follows) this.#newest.hidden = true;
  }

  /** Scroll to the end, if the panel follows it. @param {boolean} [follows] */
  #keepUp(follows = this.#follows) {
    this.#follows = follows;
    this.#newest.hidden ||= follows;
    const { scrollHeight, clientHeight } = this.#messages;
    this.#sizes = `${scrollHeight} ${clientHeight}`;
    if (follows) this.#messages.scrollTop = scrollHeight;
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = [...this.#text.value.trim()].slice(0, CHAT_MAX_CHARS).join("");
    if (!text) return;
    const item = message("mine", "You", text);
    if (!this.#onSay(text, (fate) => this.#mark(item, fate))) return;
    this.#append(item);
    this.#keepUp(true);
    this.#text.value = "";
  }

  /** Show the fate of an own text. One that is acknowledged at once needs no note. @param {HTMLElement} item @param {Fate} fate */
  #mark(item, fate) {
    let note = item.querySelector(".fate");
    if (!note && fate === "heard") return;
    if (!note) {
      note = document.createElement("span");
      note.className = "fate";
      item.append(note);
    }
    item.dataset.fate = fate;
    note.textContent = NOTES[fate];
    this.#keepUp();
  }

  /** @param {HTMLElement} item */
  #append(item) {
    this.#messages.append(item);
    while (this.#messages.childElementCount > MESSAGES_MAX) this.#messages.firstElementChild.remove();
  }

  /** @param {number} unread */
  #count(unread) {
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.#badge.hidden = unread === 0;
    this.#badge.textContent = unreadCount(unread);
    this.#onUnread(unread);
  }
}

/** @param {"mine" | "theirs"} whose @param {string} name @param {string} text */
function message(whose, name, text) {
  const author = document.createElement("span");
  author.className = "unseen";
  author.dir = "auto";
  author.textContent = `${name}: `;
  const item = document.createElement("p");
  item.className = whose;
  item.dir = "auto";
  item.append(author, text);
  return item;
}
