/**
 * A modal dialog of a page.
 */
import { h } from './dom.js';

/** Open a dialog with its label as the heading, and return it. It closes with the page; the focus then returns to where it was. */
export function openDialog(page, label, ...content) {
  const dialog = h('dialog', { class: 'ask', 'aria-label': label, onclose: () => dialog.remove() }, h('h2', {}, label), content);
  // A button in a closed menu cannot receive the focus, so the button that opens the menu does.
  for (const menu of document.querySelectorAll(':popover-open')) menu.hidePopover();
  document.body.append(dialog);
  page.signal.addEventListener('abort', () => dialog.close());
  dialog.showModal();
  return dialog;
}
