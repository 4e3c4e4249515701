/**
 * Keyboard dialogs: the palette, which opens pages and objects and runs actions of the page, and the list of shortcuts.
 */
import { fill, h } from './dom.js';
import { get, withQuery } from './server.js';

/** Objects that can be opened by key or id, by the page of their list. */
const NAMED = [['Recipient', '/recipients'], ['Topic', '/topics'], ['Tenant', '/tenants'], ['Workflow', '/workflows'], ['Template', '/templates']];
const BY_ID = [['Notification', '/notifications'], ['Message', '/messages'], ['Run', '/runs'], ['Recipient', '/recipients']];
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;
const REQUEST_ID = /^[0-9a-f]{16}$/;
/** Recipients are searched once the operator has stopped typing for this long. */
const TYPING_MS = 250;
const SUGGESTED = 5;
const KEYS = [
  ['Ctrl K', 'Go to a page or an object, or act'], ['/', 'Filter the list'], ['j k', 'Next and previous row'], ['Enter', 'Open the row'],
  ['Esc', 'Close, or go back'], ['r', 'Refresh the page'], ['g, then a letter', 'Open a page:'],
];

/**
 * @param {{pages: {title: string, path: string, letter: string}[], mayOpenObjects: (page: any) => boolean, base: string, tenant: () => string, actions: () => [string, string, () => void][]}} shell
 *   `pages` are those that the operator may open; `tenant` is the query of the tenant that is shown; an action has a name, a key and what it does
 * @returns the dialog, and a function that opens it
 */
export function palette({ pages, mayOpenObjects, base, tenant, actions }) {
  const options = h('ul');
  const input = h('input', { 'aria-label': 'Page, action or id', placeholder: 'Page, action, key or id', autocomplete: 'off', oninput: update });
  let typing = 0;
  const all = () => [...options.querySelectorAll('a, button')];
  const dialog = h('dialog', { id: 'palette', 'aria-label': 'Go to', onclose: keepFocus, onkeydown: move, onclick: (event) => event.target === dialog && dialog.close() },
    h('form', { method: 'dialog', onsubmit: (event) => {
      event.preventDefault();
      all()[0]?.click();
    } }, input), options);
  return [dialog, () => {
    input.value = '';
    update();
    dialog.showModal();
  }];

  function update() {
    const text = input.value.trim();
    const matches = (name) => name.toLowerCase().includes(text.toLowerCase());
    const links = pages.filter((one) => matches(one.title)).map((one) => link(one.title, one.path, `g ${one.letter}`));
    const acts = actions().filter(([name]) => matches(name)).map(([name, key, act]) => h('button', { type: 'button', onclick: () => {
      dialog.close();
      act();
    } }, name, key && h('kbd', {}, key)));
    const rest = text ? objects(text).map(item) : [];
    fill(options, links.map(item), acts.map(item), rest);
    clearTimeout(typing);
    if (text && mayOpen('/recipients')) typing = setTimeout(() => search(text, rest[0]), TYPING_MS);
  }

  function item(one) {
    return h('li', {}, one);
  }

  function pageOf(path) {
    return pages.find((one) => one.path === path);
  }

  function mayOpen(path) {
    const page = pageOf(path);
    return page !== undefined && mayOpenObjects(page);
  }

  /** Add the recipients of all tenants whose keys begin with the text, before the row `next`. */
  async function search(text, next) {
    let found;
    try {
      found = await get(withQuery('/v1/recipients', { search: text, tenant: '*', limit: SUGGESTED }));
    } catch {
      return; // the other rows remain
    }
    next.before(...found.recipients.map(({ key, name, tenant: of }) => item(link(h('span', {}, h('span', { class: 'muted' }, 'Recipient '), key, name && h('span', { class: 'muted' }, ` ${name}`)),
      `/recipients/${encodeURIComponent(key)}?${new URLSearchParams({ tenant: of ?? '' })}`, null, of))));
  }

  function objects(text) {
    const kinds = (ID.test(text) ? BY_ID : REQUEST_ID.test(text) ? [['Request', '/requests'], ...NAMED] : NAMED).filter(([, path]) => mayOpen(path));
    const lists = [
      ['/recipients', 'Recipients that begin with', { search: text }],
      ['/live', 'Live events of the connection', { connection: text }],
      ['/connections', 'Connections of', { recipient: text }],
    ].filter(([path]) => pageOf(path));
    const found = [
      ...kinds.map(([name, path]) => [name, `${path}/${encodeURIComponent(text)}${tenant()}`]),
      ...lists.map(([path, name, query]) => [name, `${path}?${new URLSearchParams(query)}`]),
    ];
    return found.map(([name, target]) => link(h('span', {}, h('span', { class: 'muted' }, `${name} `), text), target));
  }

  function link(name, target, keys, note) {
    return h('a', { href: `${base}${target}` }, name, keys && h('kbd', {}, keys), note && h('span', { class: 'muted' }, note));
  }

  /** The arrow keys move through the input and the rows. */
  function move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const stops = [input, ...all()];
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
  }
}

/** A refresh may have replaced the control to which the focus should return. */
function keepFocus() {
  if (document.activeElement === document.body) document.getElementById('main')?.focus();
}

/** The list of keys. */
export function keysDialog(pages) {
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Close');
  const row = ([keys, what]) => h('div', {}, h('dt', {}, h('kbd', {}, keys)), h('dd', {}, what));
  const dialog = h('dialog', { id: 'keys', class: 'keys', 'aria-label': 'Shortcuts', onclose: keepFocus, onclick: (event) => event.target === dialog && dialog.close() },
    h('h2', { tabindex: '-1', autofocus: true }, 'Keyboard shortcuts'), h('dl', {}, KEYS.map(row)), h('dl', { class: 'letters' }, pages.map((one) => row([one.letter, one.title]))), close);
  return dialog;
}
