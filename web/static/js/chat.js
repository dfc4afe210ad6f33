/**
 * The chat beside a call: a panel of what the two wrote in this session, forgotten with it.
 * It owns the panel's elements and whether it is open. Sending is not its business: `onSay` gets the text.
 */

import { CHAT_MAX } from "./protocol.js";

export class Chat {
  #panel;
  #opener;
  #messages;
  #text;
  #badge;
  #onSay;
  #unread = 0;
  /** @type {string | null} */
  #session = null;

  /**
   * @param {(id: string) => any} element finds an element of the page
   * @param {(text: string) => boolean} onSay returns false if the text could not be sent: it is kept in the field
   */
  constructor(element, onSay) {
    this.#panel = element("chat");
    this.#opener = element("chat-open");
    this.#messages = element("messages");
    this.#text = element("chat-text");
    this.#badge = element("unread");
    this.#onSay = onSay;
    this.#opener.onclick = () => this.#show(this.#panel.hidden);
    element("chat-close").onclick = () => this.#show(false);
    element("chat-form").onsubmit = (/** @type {Event} */ event) => this.#submit(event);
    this.#panel.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") this.#show(false);
    };
  }

  /**
   * Belong to this session from now on; a new one starts with an empty, closed panel.
   * @param {string | null} session
   * @param {boolean} open can anything be said now?
   */
  draw(session, open) {
    if (session !== this.#session) {
      this.#session = session;
      this.#messages.replaceChildren();
      this.#text.value = "";
      this.#panel.hidden = true;
      this.#count(0);
    }
    this.#opener.disabled = !open;
    this.#opener.ariaExpanded = String(!this.#panel.hidden);
  }

  /** @param {string} name who wrote it @param {string} text */
  hear(name, text) {
    this.#append("theirs", name, text);
    if (this.#panel.hidden) this.#count(this.#unread + 1);
  }

  /** @param {boolean} open */
  #show(open) {
    this.#panel.hidden = !open;
    this.#opener.ariaExpanded = String(open);
    if (open) this.#count(0);
    (open ? this.#text : this.#opener).focus();
    this.#messages.scrollTop = this.#messages.scrollHeight;
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = [...this.#text.value.trim()].slice(0, CHAT_MAX).join("");
    if (!text || !this.#onSay(text)) return;
    this.#append("mine", "You", text);
    this.#text.value = "";
  }

  /** @param {"mine" | "theirs"} whose @param {string} name @param {string} text */
  #append(whose, name, text) {
    const author = document.createElement("span");
    author.className = "unseen";
    author.textContent = `${name}: `;
    const item = document.createElement("p");
    item.className = whose;
    item.append(author, text);
    this.#messages.append(item);
    item.scrollIntoView({ block: "end" });
  }

  /** @param {number} unread */
  #count(unread) {
    this.#unread = unread;
    this.#badge.hidden = unread === 0;
    this.#badge.textContent = String(unread);
  }
}
