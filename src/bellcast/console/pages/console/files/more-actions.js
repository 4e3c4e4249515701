/**
 * Further actions of a row, behind one button.
 */
import { h } from './dom.js';

/** Space between the button and its actions, in px. */
const GAP = 4;

/** A button that opens `actions`. They stay ordinary buttons, because some ask for a second click. Escape closes them. */
export function moreActions(label, actions) {
  const list = h('div', { class: 'more', popover: 'auto', role: 'group', 'aria-label': label,
    onbeforetoggle: ({ newState }) => newState === 'open' && place(list, button.getBoundingClientRect()),
    ontoggle: ({ newState }) => newState === 'open' && list.querySelector('button').focus() }, actions);
  const button = h('button', { type: 'button', 'aria-label': label }, h('span', { 'aria-hidden': 'true' }, '⋯'));
  button.popoverTargetElement = list;
  const isOpen = () => list.matches(':popover-open');
  return h('span', {
    onkeydown: (event) => {
      if (event.key !== 'Escape' || !isOpen()) return;
      event.preventDefault(); // otherwise the page of an object would return to its list
      list.hidePopover();
    },
    onfocusout: ({ currentTarget, relatedTarget }) => {
      if (relatedTarget && !currentTarget.contains(relatedTarget) && isOpen()) list.hidePopover();
    },
  }, button, list);
}

/** Place the actions below the button, or above it in the lower half of the window. They scroll with the page. */
function place({ style }, { top, right, bottom }) {
  const { clientWidth, clientHeight } = document.documentElement;
  const isLow = bottom > clientHeight / 2;
  style.right = `${clientWidth - right - scrollX}px`;
  style.top = isLow ? 'auto' : `${bottom + scrollY + GAP}px`;
  style.bottom = isLow ? `${clientHeight - top - scrollY + GAP}px` : 'auto';
}
