/** Swipes and long presses on a row, and the drag that closes a sheet. Loaded with the first touch. */

import { h, icon } from './dom.js';
import * as icons from './icons.js';
import { isStill } from './motion.js';
import { isShelved, isUnread } from './row.js';

/** @import { Item } from './group-rows.js' */
/** @import { Messages } from './messages.js' */
/** @import { TriageVerb } from './triage.js' */

const SLOP = 10; // px that a resting finger may move
const LONG_PRESS = 450; // ms: shorter than the delay of Android's link menu
const TRIGGER = 0.3; // minimum length of a swipe, as a fraction of the row's width
const CLOSING_DRAG = 0.2; // minimum length of a drag that closes the sheet, as a fraction of its height
const CLOSING_TIME = 200; // ms: longer than the style sheet's transition

/**
 * Track one finger from touch to release. A swipe towards the end of the line marks as read or unread, one towards its start archives.
 * @param {HTMLElement} row @param {{pointerId: number, clientX: number, clientY: number}} start @param {Item} item @param {Messages & {dir: string}} texts
 * @param {(verb: TriageVerb) => void} act @param {() => void} openMenu
 */
export function watchGesture(row, start, item, texts, act, openMenu) {
  const end = new AbortController();
  const { signal } = end;
  const sign = texts.dir === 'rtl' ? -1 : 1;
  let dx = 0;
  /** @type {HTMLElement | null} */
  let hint = null;
  const timer = setTimeout(() => {
    finish();
    suppressClick(row);
    openMenu();
  }, LONG_PRESS);
  signal.addEventListener('abort', () => clearTimeout(timer));

  /** @returns {TriageVerb} */
  const verb = () => {
    if (dx * sign > 0) return isUnread(item) ? 'read' : 'unread';
    return isShelved(item.notification) ? 'unarchive' : 'archive';
  };

  function finish() {
    end.abort();
    hint?.remove();
    row.classList.remove('swiped');
    if (dx && !isStill()) row.animate([{ translate: `${dx}px` }, { translate: 0 }], { duration: 150, easing: 'ease-out' });
    row.style.translate = '';
  }

  /** @param {PointerEvent} event */
  const onMove = ({ pointerId, clientX, clientY }) => {
    if (pointerId !== start.pointerId) return;
    const [x, y] = [clientX - start.clientX, clientY - start.clientY];
    if (Math.abs(y) > SLOP && !hint) return finish(); // scrolls
    if (Math.abs(x) < SLOP && !hint) return;
    clearTimeout(timer);
    dx = x;
    const isFar = Math.abs(dx) > row.offsetWidth * TRIGGER;
    hint ??= row.parentElement?.insertBefore(h('li', 'swipe-hint', { ariaHidden: 'true', inert: true }), row) ?? null;
    row.classList.add('swiped');
    row.style.translate = `${dx}px`;
    renderHint(hint, row, verb(), isFar, dx > 0);
  };

  addEventListener('pointermove', onMove, { signal });
  addEventListener('pointercancel', finish, { signal });
  addEventListener('pointerup', () => {
    const isFar = Math.abs(dx) > row.offsetWidth * TRIGGER;
    if (dx) suppressClick(row);
    finish();
    if (isFar) act(verb());
  }, { signal });
}

/** Track a finger that drags a sheet down by its handle or heading. @param {HTMLElement} sheet @param {{pointerId: number, clientY: number}} start @param {() => void} close */
export function watchSheet(sheet, start, close) {
  const end = new AbortController();
  const { signal } = end;
  const { style } = sheet;
  let dy = 0;

  function finish() {
    end.abort();
    style.transition = '';
    if (dy < sheet.offsetHeight * CLOSING_DRAG) return void (style.translate = '');
    suppressClick(sheet);
    style.translate = '0 100%';
    close();
    setTimeout(() => (style.translate = ''), isStill() ? 0 : CLOSING_TIME);
  }

  addEventListener('pointermove', ({ pointerId, clientY }) => {
    if (pointerId !== start.pointerId) return;
    dy = Math.max(0, clientY - start.clientY);
    if (dy < SLOP) return;
    style.transition = 'none';
    style.translate = `0 ${dy}px`;
  }, { signal });
  addEventListener('pointerup', finish, { signal });
  addEventListener('pointercancel', () => ((dy = 0), finish()), { signal });
}

/** @param {HTMLElement | null} hint @param {HTMLElement} row @param {TriageVerb} verb @param {boolean} isFar @param {boolean} isRight */
function renderHint(hint, row, verb, isFar, isRight) {
  if (!hint) return;
  const signs = { read: icons.check, unread: icons.unread, archive: icons.archive, unarchive: icons.inbox, delete: icons.trash };
  if (hint.dataset.verb !== verb) hint.replaceChildren(icon(signs[verb]));
  Object.assign(hint.dataset, { verb, far: String(isFar), side: isRight ? 'left' : 'right' });
  hint.style.height = `${row.offsetHeight}px`;
}

/** Suppress the click after a swipe, and the link's own menu after a long press. @param {HTMLElement} row */
function suppressClick(row) {
  const end = new AbortController();
  for (const type of ['click', 'contextmenu']) {
    row.addEventListener(type, (event) => {
      event.preventDefault();
      event.stopPropagation();
    }, { capture: true, signal: end.signal });
  }
  setTimeout(() => end.abort(), 400);
}
