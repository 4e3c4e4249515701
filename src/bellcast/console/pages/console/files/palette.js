/**
 * The palette: a dialog that opens pages and objects, and runs actions of the page.
 */
import { copyText } from './clipboard.js';
import { TYPING_MS } from './filters.js';
import { Fragment, html, useEffect, useId, useRef, useSignal } from './html.js';
import { Icon } from './parts.js';
import { BUILDERS } from './roles.js';
import { leave } from './router.js';
import { withQuery } from './server.js';
import { THEMES, me, remembered, setTheme } from './session.js';
import { ownPages, pageUrl } from './shell.js';

const HINTS = [['↑ ↓', 'Choose'], ['Enter', 'Open'], ['Esc', 'Close']];

const ACTIONS = [
  ...THEMES.map((one) => [`Theme: ${one}`, '', () => setTheme(one)]),
  ['Retry failures', '', () => leave(pageUrl('/failures')), 'failures'],
  ['Send a test', '', () => leave(pageUrl('/playground')), 'playground'],
  ['Copy the link to this page', '', () => copyText(location.href)],
];

/** Actions that are offered before anything is typed, and the pages that they need. */
const OFTEN = { 'New workflow': '/workflows', 'New template': '/templates', 'Send a test': '/playground', 'Retry failures': '/failures' };
const mayDo = (name) => !(name in OFTEN) || ownPages().some(({ path }) => path === OFTEN[name]);

/** What the operator may create, and where. */
const creations = () => (BUILDERS.includes(me.value.role) ? ownPages().filter(({ noun }) => noun) : []).map(({ noun, path, edit, icon }) => ({ icon, section: 'Actions', name: `New ${noun}`, url: withQuery(pageUrl(path), edit ? { edit: 'new' } : { new: 'yes' }) }));

/** Keys, one after the other. */
export const Keys = ({ of }) => html`<span>${of.split(' ').map((key) => html`<kbd key=${key}>${key}</kbd>`)}</span>`;

/** @param {{actions: () => [string, string, () => void][]}} of an action has a name, a key and what it does */
export function Palette({ actions }) {
  const id = useId();
  const dialog = useRef(null), input = useRef(null);
  const text = useSignal(''), found = useSignal([]), active = useSignal(0), opened = useSignal(0);
  const typed = text.value.trim();
  useEffect(() => {
    found.value = [];
    if (!typed) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const options = await import('./palette-search.js').then(({ search }) => search(typed, opened.value, abort.signal), () => []);
      if (!abort.signal.aborted) found.value = options;
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [typed]);
  const matches = (name) => name.toLowerCase().includes(typed.toLowerCase());
  const doable = opened.value === 0 ? [] : [...(typed ? [] : creations()), ...[...actions(), ...ACTIONS].map(([name, keys, act, icon = 'chevron']) => ({ icon, section: 'Actions', name, keys, act })), ...(typed ? creations() : [])].filter(({ name }) => mayDo(name));
  const options = opened.value === 0 ? [] : [
    ...(typed ? [] : remembered('recent', []).map((one) => ({ ...one, section: 'Recent' }))),
    ...(typed ? [] : doable.filter(({ name }) => name in OFTEN)),
    ...ownPages().filter((one) => matches(one.title)).map((one) => ({ icon: one.icon, section: 'Pages', name: one.title, keys: one.letter && `g ${one.letter}`, url: pageUrl(one.path) })),
    ...(typed ? doable.filter(({ name }) => matches(name)) : []),
    ...found.value, // last: what arrives later moves no other option
  ];
  const current = Math.min(active.value, options.length - 1);
  useEffect(() => document.getElementById(`${id}-${current}`)?.scrollIntoView({ block: 'nearest' }), [current]);
  const choose = (one) => {
    if (!one) return;
    dialog.current.close();
    if (one.act) {
      one.act();
      return;
    }
    leave(one.url);
  };
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    active.value = (current + step + options.length) % options.length;
  };
  const open = () => {
    text.value = '';
    active.value = 0;
    opened.value += 1;
    dialog.current.showModal();
    input.current.focus();
  };
  return html`<dialog id="palette" class="palette" aria-label="Go to" ref=${dialog} onopendialog=${open} onClose=${keepFocus} onKeyDown=${move} onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <form method="dialog" onSubmit=${(event) => {
      event.preventDefault();
      choose(options[current]);
    }}><${Icon} name="search" /><input ref=${input} role="combobox" aria-label="Page, action or id" aria-expanded="true" aria-controls=${`${id}-list`} aria-autocomplete="list" aria-activedescendant=${options.length > 0 ? `${id}-${current}` : null}
      placeholder="Page, action or id" autocomplete="off" value=${text.value} onInput=${(event) => {
        text.value = event.currentTarget.value;
        active.value = 0;
      }} /></form>
    <div role="listbox" id=${`${id}-list`} class="options" aria-label="Results">${options.map((one, index) => html`<${Fragment} key=${`${one.section} ${one.url ?? one.name}`}>${one.section !== options[index - 1]?.section && html`<div class="section" role="presentation">${one.section}</div>`}<div id=${`${id}-${index}`} role="option" tabIndex="-1" class="option" aria-selected=${String(index === current)}
      onMouseMove=${() => { active.value = index; }} onClick=${() => choose(one)}><${Icon} name=${one.icon} /><span>${one.kind && html`<span class="hidden">${one.kind} </span>`}${one.name}</span>${one.note && html`<span class="muted note">${one.note}</span>`}${one.keys && html`<${Keys} of=${one.keys} />`}</div><//>`)}
    ${typed && options.length === 0 && html`<p class="muted" role="status">Nothing is called ${typed}.</p>`}</div>
    <footer aria-hidden="true">${HINTS.map(([key, what]) => html`<span key=${key}><kbd>${key}</kbd> ${what}</span>`)}</footer></dialog>`;
}

/** Open the palette. */
export const openPalette = () => document.getElementById('palette').dispatchEvent(new Event('opendialog'));

/** The control that had the focus, or to which it should return, may be gone: a view of a list, the form beside it, a replaced row. A dialog opened from none keeps it for a moment after it closed. */
export function keepFocus() {
  if (document.activeElement.matches('body, dialog:not([open]) *')) document.getElementById('main')?.focus({ preventScroll: true });
}
