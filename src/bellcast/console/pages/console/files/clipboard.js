/**
 * The clipboard. `navigator.clipboard` is absent on a page that was loaded over plain HTTP, and writes later: a paste that
 * follows at once gets what was there before.
 */
import { html, useState } from './html.js';
import { session } from './storage.js';

/** Copy a text, in the handler of a click or of a key. Returns whether the browser permits it. */
export function copyText(text) {
  const write = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData.setData('text/plain', text);
  };
  document.addEventListener('copy', write, { capture: true });
  const isCopied = document.execCommand('copy');
  document.removeEventListener('copy', write, { capture: true });
  return isCopied;
}

/** Copy a part of a document for this tab, as `key`, and for others. */
export function copyPart(key, part) {
  const text = JSON.stringify(part);
  session.setItem(key, text);
  copyText(text);
}

/** How long a copy button shows its confirmation. */
const COPIED_MS = 2000;
/** A button that copies a text. */
export function Copy({ what, text, title }) {
  const [word, setWord] = useState('Copy');
  const copy = (event) => {
    event.preventDefault();
    event.stopPropagation();
    setWord(copyText(text) ? 'Copied' : 'Not copied');
    setTimeout(() => setWord('Copy'), COPIED_MS);
  };
  return html`<button class="copy" type="button" aria-label=${`${word} ${what}`} title=${title} onClick=${copy}>${word}</button>`;
}
