/**
 * The console: the session, the menu, the router, and the keys. It uses the documented REST API only.
 */
import { fill, h, useZone } from './dom.js';
import { failure } from './list.js';
import { PAGES } from './pages.js';
import { ROOT, get, request, whenPasswordRequired, whenSignedOut } from './server.js';
import { askPassword, enrol, setUp, signIn } from './sign-in.js';

const BASE = `${ROOT}/console`;
/** `g` and a letter open a page if the letter follows within this time. */
const CHORD_MS = 1000;

let me = null;
let current = new AbortController();
let chordUntil = 0;

async function start() {
  whenSignedOut(showSignIn);
  whenPasswordRequired(() => askPassword(me.is_external));
  try {
    me = await get('/v1/me');
  } catch (problem) {
    if (problem.status !== 401) fill(document.body, h('main', { class: 'card' }, failure(problem, start)));
    return;
  }
  showShell();
}

/** Show sign-in, or set-up if the console has no owner. The URL stays, so that links survive sign-in. */
async function showSignIn() {
  current.abort();
  me = null;
  let needed = false;
  let provider = null;
  try {
    ({ needed, provider } = await get('/v1/setup'));
  } catch (problem) {
    fill(document.body, h('main', { class: 'card' }, failure(problem, showSignIn)));
    return;
  }
  const show = needed ? setUp : signIn;
  document.title = needed ? 'Set up · Bellcast' : 'Sign in · Bellcast';
  fill(document.body, show((operator) => {
    me = operator;
    showShell();
  }, provider));
  document.querySelector('input')?.focus();
}

const mine = () => PAGES.filter((one) => one.roles.includes(me.role));

function showShell() {
  if (me.must_enrol) {
    document.title = 'Second factor · Bellcast';
    fill(document.body, enrol(start, signOut));
    return;
  }
  const menu = h('nav', { id: 'menu', 'aria-label': 'Pages' }, mine().map((one, index, all) => [
    one.group !== all[index - 1]?.group && h('span', { class: 'group' }, one.group),
    h('a', { href: `${BASE}${one.path}`, 'data-path': one.path }, one.title)]),
  h('button', { type: 'button', class: 'zone', onclick: switchZone }));
  const toggle = h('button', { type: 'button', class: 'menu', 'aria-expanded': 'false', 'aria-controls': 'menu', onclick: () => {
    const isOpen = document.body.classList.toggle('open');
    toggle.setAttribute('aria-expanded', String(isOpen));
  } }, 'Menu');
  fill(document.body,
    h('a', { class: 'skip', href: '#main' }, 'Skip to the page'),
    h('header', { class: 'bar' }, toggle, h('a', { class: 'brand', href: `${BASE}/` }, 'Bellcast'),
      h('button', { type: 'button', class: 'search', 'aria-keyshortcuts': 'Control+K', onclick: openPalette }, 'Go to… ', h('kbd', {}, 'Ctrl K')),
      h('span', { class: 'who' }, me.name), h('button', { type: 'button', onclick: signOut }, 'Sign out')),
    h('div', { class: 'frame' }, menu, h('main', { id: 'main', tabindex: '-1' })),
    palette());
  route(false);
}

async function signOut() {
  await request('DELETE', '/v1/session');
  history.replaceState(null, '', `${BASE}/`);
  showSignIn();
}

const zoneOf = (url) => new URL(url, location.href).searchParams.get('tz') ?? '';

function switchZone() {
  const url = new URL(location.href);
  if (zoneOf(url) === 'utc') url.searchParams.delete('tz');
  else url.searchParams.set('tz', 'utc');
  history.replaceState(null, '', url);
  route(false);
}

/** A URL with the zone of the present one. */
function inZone(target) {
  const url = new URL(target, location.href);
  if (zoneOf(location.href)) url.searchParams.set('tz', zoneOf(location.href));
  return url;
}

function route(focus = true) {
  if (me === null) return;
  const isUtc = zoneOf(location.href) === 'utc';
  useZone(isUtc ? 'utc' : 'local');
  const switched = document.querySelector('#menu .zone');
  fill(switched, isUtc ? 'Show local times' : 'Show times in UTC');
  current.abort();
  current = new AbortController();
  document.body.classList.remove('open');
  const local = location.pathname.slice(BASE.length) || '/';
  const found = PAGES.find((one) => one.path === local) ?? PAGES.find((one) => one.detail && local.startsWith(`${one.path}/`));
  const main = document.getElementById('main');
  for (const link of document.querySelectorAll('#menu a')) {
    const tenant = new URLSearchParams(location.search).get('tenant')?.replace(/^\*$/, '');
    link.href = `${BASE}${link.dataset.path}${tenant ? `?${new URLSearchParams({ tenant })}` : ''}`;
    if (link.dataset.path === found?.path) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest' });
    }
    else link.removeAttribute('aria-current');
  }
  if (!found || !found.roles.includes(me.role)) {
    const text = found ? `Your role, ${me.role}, does not permit this page.` : 'There is no such page.';
    fill(main, h('h1', { tabindex: '-1' }, found?.title ?? 'Not found'), h('p', {}, text));
  } else {
    const isDetail = local !== found.path;
    const page = {
      me, signal: current.signal, query: new URLSearchParams(location.search), path: location.pathname,
      key: isDetail ? decode(local.slice(found.path.length + 1)) : null,
      root: ROOT, url: (target) => `${BASE}${target}`, go, reload: () => route(false), may: (roles) => roles.includes(me.role),
    };
    fill(main, (isDetail ? found.detail : found.show)(page));
  }
  document.title = `${found?.title ?? 'Not found'} · Bellcast`;
  if (focus) main.focus();
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go(url) {
  history.pushState(null, '', inZone(url));
  route();
}

/** The dialog to open a page, a recipient or a notification by name. */
function palette() {
  const options = h('ul', {});
  const input = h('input', { type: 'search', 'aria-label': 'Page, recipient or id', placeholder: 'Page, recipient or id', autocomplete: 'off', oninput: update });
  const dialog = h('dialog', { id: 'palette', 'aria-label': 'Go to' }, h('form', { method: 'dialog', onsubmit: (event) => {
    event.preventDefault();
    options.querySelector('a')?.click();
  } }, input), options);
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  function update() {
    const text = input.value.trim();
    const pages = mine().filter((one) => one.title.toLowerCase().includes(text.toLowerCase())).map((one) => [one.title, one.path, `g ${one.letter}`]);
    const paths = new Set(mine().map((one) => one.path));
    const { search } = document.querySelector('#menu a'); // of the tenant that is shown
    const objects = text === '' ? [] : [['Recipient', '/recipients'], ['Notification', '/notifications'], ['Message', '/messages'], ['Run', '/runs']]
      .filter(([, path]) => paths.has(path)).map(([name, path]) => [`${name} ${text}`, `${path}/${encodeURIComponent(text)}${search}`, '']);
    const found = text === '' || !paths.has('/recipients') ? [] : [[`Recipients that begin with ${text}`, `/recipients?${new URLSearchParams({ search: text })}`, '']];
    fill(options, [...pages, ...objects, ...found].map(([title, path, keys]) => h('li', {}, h('a', { href: `${BASE}${path}` }, title, keys && h('kbd', {}, keys)))));
  }
  dialog.update = () => { input.value = ''; update(); };
  return dialog;
}

function openPalette() {
  const dialog = document.getElementById('palette');
  if (!dialog || dialog.open) return;
  dialog.update();
  dialog.showModal();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${BASE}/`) || link.getAttribute('href').startsWith('#')) return;
  event.preventDefault();
  document.getElementById('palette')?.close();
  go(url.href);
});

document.addEventListener('keydown', (event) => {
  if (me === null) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select, textarea, dialog')) return;
  if (event.key === '/') {
    event.preventDefault();
    (document.querySelector('.filters input') ?? document.querySelector('button.search'))?.focus();
  } else if (chordUntil > event.timeStamp) {
    chordUntil = 0;
    const page = mine().find((one) => one.letter === event.key);
    if (page) go(`${BASE}${page.path}`);
  } else if (event.key === 'j' || event.key === 'k') {
    moveInRows(event.key === 'j' ? 1 : -1);
  } else if (event.key === 'g') {
    chordUntil = event.timeStamp + CHORD_MS;
  } else if (event.key === '?') {
    event.preventDefault(); // it would be typed into the dialog
    openPalette();
  }
});

function moveInRows(step) {
  // Rows that left the document return before the focus reaches them.
  const links = [...document.querySelectorAll('.row-link, .parked')];
  const index = Math.min(Math.max(links.indexOf(document.activeElement) + step, 0), links.length - 1);
  if (links[index]?.matches('.parked')) {
    links[index].dispatchEvent(new Event('return'));
    moveInRows(step);
  } else links[index]?.focus();
}

window.addEventListener('popstate', () => route());
start();
