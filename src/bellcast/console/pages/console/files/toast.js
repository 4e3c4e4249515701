/**
 * What is done at once: a line at the lower edge says so, with a way back for some seconds.
 */
import { html, render, useEffect, useState } from './html.js';
import { loadStyle, refresh } from './load.js';
import { Icon, once } from './parts.js';
import { go, shownTenant } from './router.js';
import { exchange, getTagged, sendIf } from './server.js';

await loadStyle('toast.css');

/** Time to read the line and to reach its button. It stays while it has the pointer or the focus. */
const SHOWN_MS = 10_000;
/** How long the row of a new object may take to appear, and is highlighted. */
const AWAITED_MS = 5000, NEW_MS = 2000;

// Screen readers announce what is added to a region that exists.
const place = document.body.appendChild(Object.assign(document.createElement('div'), { className: 'toasts' }));
place.setAttribute('role', 'status');
let shown = 0;
const show = (toast) => {
  shown += 1;
  render(html`<${Toast} key=${shown} ...${toast} />`, place);
};
const close = () => render(null, place);

function Toast({ text, kind, undo }) {
  const [isHeld, setHeld] = useState(false);
  useEffect(() => {
    if (isHeld) return undefined;
    const timer = setTimeout(close, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isHeld]);
  const hold = () => setHeld(true), release = () => setHeld(false);
  return html`<div class=${kind === 'bad' ? 'toast bad' : 'toast'} role=${kind === 'bad' ? 'alert' : null} onPointerEnter=${hold} onPointerLeave=${release} onFocusIn=${hold} onFocusOut=${release}><${Icon} name=${kind} /><span dir="auto">${text}</span>
    ${undo && html`<button type="button" onClick=${once(undo)}>Undo</button>`}<button type="button" class="quiet" aria-label="Dismiss" onClick=${close}><${Icon} name="close" /></button></div>`;
}

/** Say what was done. @param {string} text @param {string | null} [url] that of a new object, in the API or the console; its row is highlighted */
export function say(text, url = null) {
  show({ text, kind: 'ok' });
  if (url) highlight(new URL(url, location.href));
}

const tenantIn = ({ searchParams }) => searchParams.get('tenant') ?? shownTenant();

/** Highlight the row with the link to the path and the tenant of a URL for a moment, once the list has it. */
function highlight(url) {
  const path = url.pathname.replace(/^\/v1/, ''), isIts = (link) => link.pathname.endsWith(path) && tenantIn(link) === tenantIn(url);
  const find = () => [...document.querySelectorAll('.row-link[href]')].find(({ href }) => isIts(new URL(href)))?.closest('.row');
  let timer = null;
  // The list may draw it again, when it is read again.
  const observer = new MutationObserver(() => {
    const row = find();
    if (!row) return;
    row.dataset.new = '';
    timer ??= setTimeout(() => {
      observer.disconnect();
      find()?.removeAttribute('data-new');
    }, NEW_MS);
  });
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ['href'] });
  setTimeout(() => timer ?? observer.disconnect(), AWAITED_MS);
}

/** Delete an object, with a `tag` only if it has not changed since it was read, and go to its list, which is read again. With its `values`, Undo creates and opens it again, unless another page is shown by now. */
export async function deleteObject(url, name, list, { tag, values } = {}) {
  const shown = location.href;
  await exchange('DELETE', url, { headers: tag && { 'if-match': tag } }).catch((problem) => {
    if (problem.status !== 412) throw problem;
    refresh();
    throw new Error(`Another operator has changed ${name} in the meantime, so it was not deleted. Look at it, and delete it again.`);
  });
  go(list);
  refresh();
  const left = location.href;
  show({ text: `Deleted ${name}`, kind: 'ok', undo: values && (() => perform(() => sendIf('PUT', url, values, { 'if-none-match': '*' }).then(() => {
    if (location.href === left) go(shown);
    refresh();
  }), `Restored ${name}`)) });
}

/** Act at once. `done` says what was done, `undo` takes it back. */
export async function perform(act, done, undo) {
  try {
    await act();
    if (done) show({ text: done, kind: 'ok', undo: undo && (() => perform(undo)) });
    else close();
  } catch (problem) {
    const isChanged = problem.status === 412;
    if (isChanged) refresh();
    show({ text: isChanged ? 'Another operator has changed this in the meantime, so nothing was done.' : problem.message, kind: 'bad' });
  }
}

/** A button that acts at once. */
export const AtOnce = ({ word, act, done, undo, isPrimary = false }) => html`<button type="button" class=${isPrimary ? 'primary' : null} onClick=${once(() => perform(act, done, undo))}>${word}</button>`;

/** Sets whether an object is active, unless another operator has changed it since it was read, and then back. `valuesOf` are its values as they are written. */
export function activation(url, read, valuesOf = (one) => one) {
  let known = read;
  return async (active) => {
    const { value, tag } = known ?? await getTagged(url);
    await sendIf('PUT', url, { ...valuesOf(value), active }, { 'if-match': tag });
    known = null;
    refresh();
  };
}

/** Buttons that pause an object, and resume it. `set` sets whether it is active. */
export const Pause = ({ name, set }) => html`<${AtOnce} word="Pause" act=${() => set(false)} done=${`${name} is paused.`} undo=${() => set(true)} />`;
export const Resume = ({ name, set }) => html`<${AtOnce} isPrimary word="Resume" act=${() => set(true)} done=${`${name} is active again.`} undo=${() => set(false)} />`;
