/**
 * The dialog with the shortcuts of the keyboard.
 */
import { html, useEffect, useRef } from './html.js';
import { loadStyle } from './load.js';
import { keepFocus } from './palette.js';
import { Icon } from './parts.js';
import { ownPages } from './shell.js';

await loadStyle('shortcuts.css');

const KEYS = [
  ['Ctrl K', 'Find or do anything'], ['/', 'Filter the list'], ['j k', 'Next and previous row'], ['Enter', 'Open the row'],
  ['Esc', 'Close, or go back'], ['r', 'Refresh the page'], ['?', 'Show these shortcuts'],
];

/** The list of keys, which opens at first and with each new `opening`. */
export function ShortcutList({ opening }) {
  const dialog = useRef(null);
  const groups = Object.entries({ Everywhere: KEYS, ...Object.groupBy(ownPages().map((one) => [`g ${one.letter}`, one.title, one.group ?? 'Start']), ([, , group]) => group) });
  const close = () => dialog.current.close();
  useEffect(() => dialog.current.showModal(), [opening]);
  return html`<dialog id="keys" class="keys" aria-label="Shortcuts" ref=${dialog} onClose=${keepFocus} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <header><h2 tabIndex="-1" autofocus>Keyboard shortcuts</h2><button type="button" class="quiet" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="shortcuts">${groups.map(([group, keys]) => html`<section key=${group}><h3>${group}</h3><dl>${keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl></section>`)}</div></dialog>`;
}
