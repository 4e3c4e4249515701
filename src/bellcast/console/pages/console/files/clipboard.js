/**
 * The clipboard. `navigator.clipboard` is absent on a page that was loaded over plain HTTP, and writes later: a paste that
 * follows at once gets what was there before.
 */
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
