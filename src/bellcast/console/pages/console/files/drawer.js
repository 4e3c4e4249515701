/**
 * A form at the right edge of the page, which a button opens.
 */
import { html, useState } from './html.js';
import { Dialog } from './dialogs.js';
import { loadStyle } from './load.js';
import { Icon } from './parts.js';

await loadStyle('drawer.css');

/** @param {{label: string, word: any, isOpenAtFirst?: boolean, children: (close: () => void) => any}} of `word` is that of the button, `label` that of the drawer */
export function Drawer({ label, word, isOpenAtFirst = false, children }) {
  const [isOpen, setOpen] = useState(isOpenAtFirst);
  const close = () => setOpen(false);
  return html`<button type="button" aria-haspopup="dialog" onClick=${() => setOpen(true)}>${word}</button>${isOpen && html`<${Dialog} class="drawer" label=${label} close=${close}><button type="button" class="quiet" aria-label="Close" title="Close (Esc)" onClick=${close}><${Icon} name="close" /></button>${children(close)}<//>`}`;
}
