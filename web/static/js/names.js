/**
 * Names inside sentences. A name may be right-to-left in a left-to-right sentence. So it is marked in the sentence with
 * U+2068 and U+2069, which also work in plain text, and shown in a `bdi` element.
 */

const MARKED = /\u2068([^\u2069]*)\u2069/u;

/** The name, for use in a sentence. @param {string} name */
export function isolate(name) {
  return `\u2068${name}\u2069`;
}

/**
 * Mark the name in a sentence of the server.
 * @param {string | null} sentence @param {string | undefined} name
 */
export function isolateIn(sentence, name) {
  return sentence && name ? sentence.replace(name, () => isolate(name)) : sentence;
}

/** Show this sentence; if it is shown already, change nothing. @param {HTMLElement} target @param {string} text */
export function fill(target, text) {
  const parts = text.split(MARKED);
  if (target.textContent !== parts.join("")) target.replaceChildren(...parts.map(asNode));
}

/** Every other part is a name. @param {string} part @param {number} place */
function asNode(part, place) {
  if (place % 2 === 0) return part;
  const name = document.createElement("bdi");
  name.textContent = part;
  return name;
}
