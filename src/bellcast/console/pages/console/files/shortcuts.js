/**
 * The dialog with the shortcuts of the keyboard.
 */
import { html, useEffect, useRef } from './html.js';
import { loadStyle } from './load.js';
import { Keys, keepFocus } from './palette.js';
import { Icon } from './parts.js';
import { ownPages } from './shell.js';

await loadStyle('shortcuts.css');

const EVERYWHERE = [['Ctrl K', 'Find or do anything'], ['r', 'Refresh the page'], ['Esc', 'Close, or go back'], ['?', 'Show these shortcuts']];
const LIST = [['/', 'Filter the list'], ['j', 'Next row'], ['k', 'Previous row'], ['Enter', 'Open the row']];
const EDITOR = [['Ctrl Z', 'Undo'], ['Enter', 'Edit the step'], ['Ctrl C', 'Copy the step'], ['Ctrl V', 'Paste it'], ['Alt ↑', 'Move it up'], ['Alt ↓', 'Move it down'], ['F8', 'Next problem']];
/** The groups of keys. Those of two columns are in the last ones. */
const groupsOf = () => [...(document.querySelector('[role=tree]') ? [['On the canvas', EDITOR, true]] : []), ['In lists', LIST], ['Everywhere', EVERYWHERE], ['Go to', ownPages().filter(({ letter }) => letter).map((one) => [`g ${one.letter}`, one.title]), true]];

/** The list of keys, which opens at first and with each new `opening`. */
export function ShortcutList({ opening }) {
  const dialog = useRef(null);
  const close = () => dialog.current.close();
  useEffect(() => dialog.current.showModal(), [opening]);
  return html`<dialog id="keys" class="keys" aria-label="Shortcuts" ref=${dialog} onClose=${keepFocus} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <header><h2 tabIndex="-1" autofocus>Keyboard shortcuts</h2><button type="button" class="quiet" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="shortcuts">${groupsOf().map(([group, keys, isWide]) => html`<section key=${group} class=${isWide ? 'whole' : null}><h3>${group}</h3><dl>${keys.map(([key, what]) => html`<div key=${key}><dt><${Keys} of=${key} /></dt><dd>${what}</dd></div>`)}</dl></section>`)}</div>
    <p class="muted">All other pages: <${Keys} of="Ctrl K" /> and their name.</p></dialog>`;
}
