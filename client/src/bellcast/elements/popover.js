/** Placement of the panel: a popover next to its button, or a sheet on a phone. */

const GAP = 8;
const MIN_ROOM_BELOW = 320; // px needed below the button; if there is less, the side with more room is used

/** The same width as in the style sheet. */
const phone = () => matchMedia('(max-width: 480px)').matches;

/** @param {HTMLDialogElement} panel @param {Element} button */
export function show(panel, button) {
  panel.popover = phone() ? null : 'manual';
  if (phone()) panel.showModal();
  else panel.showPopover();
  place(panel, button);
}

/** @param {HTMLDialogElement} panel */
export function hide(panel) {
  if (panel.open) panel.close();
  else if (panel.popover && panel.matches(':popover-open')) panel.hidePopover();
}

/** @param {HTMLDialogElement} panel @param {Element} button */
export function place(panel, button) {
  const { style } = panel;
  for (const name of ['left', 'top', 'bottom', '--room']) style.removeProperty(name);
  if (phone()) return;
  const at = button.getBoundingClientRect();
  const below = innerHeight - at.bottom - 2 * GAP;
  const above = at.top - 2 * GAP;
  const up = below < MIN_ROOM_BELOW && above > below;
  const { clientWidth } = document.documentElement;
  const rtl = getComputedStyle(panel).direction === 'rtl';
  const left = rtl ? at.left : at.right - panel.offsetWidth;
  style.left = `${Math.max(GAP, Math.min(left, clientWidth - panel.offsetWidth - GAP))}px`;
  style[up ? 'bottom' : 'top'] = `${up ? innerHeight - at.top + GAP : at.bottom + GAP}px`;
  style.setProperty('--room', `${up ? above : below}px`);
}
