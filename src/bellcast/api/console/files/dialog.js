/**
 * A modal dialog of a page.
 */
import { h } from './dom.js';

/** Open a dialog with its label as the heading, and return it. It closes with the page; the focus then returns to where it was. */
export function openDialog(page, label, ...content) {
  const dialog = h('dialog', { class: 'ask', 'aria-label': label, onclose: () => dialog.remove() }, h('h2', {}, label), content);
  // The focus cannot return to a button of a closed menu: it returns to the button that opens the menu.
  for (const menu of document.querySelectorAll(':popover-open')) menu.hidePopover();
  document.body.append(dialog);
  page.signal.addEventListener('abort', () => dialog.close());
  dialog.showModal();
  return dialog;
}
