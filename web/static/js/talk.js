/**
 * Passes chat texts from the panel to the server, and from the server to the panel. A text that is not read at once makes
 * a sound, and counts as unread until it is visible. It owns the panel and the unsent texts.
 */

import { Chat } from "./chat.js";
import { isolate } from "./names.js";
import { NOWHERE } from "./server_frames.js";
import { Unsaid } from "./unsaid.js";

/** @typedef {import("./protocol.js").Snapshot} Snapshot */

/**
 * @typedef {object} TalkOptions
 * @property {(id: string) => any} element finds an element of the page
 * @property {Pick<import("./signaling.js").Signaling, "send">} signaling
 * @property {Pick<import("./view.js").View, "say" | "whisper">} view
 * @property {Pick<import("./sounds.js").Sounds, "message">} sounds
 * @property {(unread: number) => void} onUnread called when the number of unread texts changes
 */

export class Talk {
  #options;
  #chat;
  #unsaid;
  #snapshot = NOWHERE;

  /** @param {TalkOptions} options */
  constructor(options) {
    this.#options = options;
    const { element, view, onUnread } = options;
    this.#unsaid = new Unsaid((text) => view.say(text));
    this.#chat = new Chat(element, (text, onFate) => this.#say(text, onFate), onUnread);
  }

  /** Show the chat of this snapshot's session. @param {Snapshot} snapshot */
  follow(snapshot) {
    this.#snapshot = snapshot;
    const { state, session } = snapshot;
    const together = state === "connecting" || state === "connected";
    this.#chat.draw(together ? session : null, state === "connected");
  }

  /** The partner wrote this. @param {import("./protocol.js").ChatFrom} frame */
  hear({ session, text }) {
    const { view, sounds } = this.#options;
    if (session === null || session !== this.#chat.session) return;
    const name = this.#snapshot.partner?.name ?? "Your partner";
    if (!this.#chat.isOpen) view.whisper(`${name} wrote: ${text}`); // screen readers read an open panel themselves
    if (!this.#chat.hear(name, text)) sounds.message();
  }

  /** @param {string} text @param {import("./said.js").OnFate} onFate */
  #say(text, onFate) {
    const { state, session, partner } = this.#snapshot;
    if (state !== "connected" || !session) return false;
    this.#options.signaling.send({ type: "chat", session, text }, (fate) => {
      onFate(fate);
      this.#unsaid.became(text, fate, partner ? isolate(partner.name) : "your partner");
    });
    return true;
  }
}
