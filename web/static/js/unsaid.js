/**
 * Tells the person which of their texts were not sent. Texts that are lost at the same moment share one sentence.
 * It owns the texts that are not reported yet.
 */

/** The most characters of a text that are quoted. */
const QUOTE_MAX = 60;

export class Unsaid {
  #tell;
  /** @type {string[]} */
  #quotes = [];

  /** @param {(sentence: string) => void} tell */
  constructor(tell) {
    this.#tell = tell;
  }

  /** @param {string} text @param {import("./said.js").Fate} fate @param {string} name of the partner */
  became(text, fate, name) {
    if (fate === "lost") this.#add(text, `not sent to ${name}`);
    if (fate === "unsure") this.#add(text, `perhaps not sent to ${name}`);
  }

  /** @param {string} text @param {string} what */
  #add(text, what) {
    if (this.#quotes.push(`“${shortened(text)}”`) > 1) return;
    queueMicrotask(() => {
      const [quote, ...others] = this.#quotes.splice(0).reverse();
      const more = others.length > 0 ? ` and ${others.length} more` : "";
      this.#tell(`${quote}${more}: ${what}.`);
    });
  }
}

/** @param {string} text */
function shortened(text) {
  const characters = [...text];
  return characters.length > QUOTE_MAX ? `${characters.slice(0, QUOTE_MAX).join("")}…` : text;
}
