/**
 * The console: the session, the menu, the router, and the keyboard shortcuts. It uses the documented REST API only.
 */
import { fill, h, useZone } from './dom.js';
import { SKELETON_MS, failure, heading, isTemporary, markStale, refill, watchLoads } from './list.js';
import { PAGES, refusalOf } from './pages.js';
import { keysDialog, palette } from './palette.js';
import { ROOT, get, request, whenPasswordRequired, whenSignedOut } from './server.js';
import { askPassword, enrol, setUp, signIn } from './sign-in.js';

const BASE = `${ROOT}/console`;
/** `g` followed by a letter within this time opens a page. */
const CHORD_MS = 1000;

let me = null;
/** Aborts the requests of the displayed page. */
let current = new AbortController();
/** Aborts a refresh that has not yet replaced the page. */
let pending = new AbortController();
let shownSince = new Date();
let shownPath = '';
let chordUntil = 0;
let openPalette = () => {};

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

const mine = () => PAGES.filter((one) => refusalOf(one, me) === null);

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
    if (setMenu(!isMenuOpen())) (menu.querySelector('[aria-current]') ?? menu.querySelector('a')).focus();
  } }, 'Menu');
  const [dialog, open] = palette({ pages: mine(), mayOpenObjects: (one) => refusalOf(one, me, true) === null, base: BASE, tenant: () => document.querySelector('#menu a').search, actions });
  openPalette = open;
  fill(document.body,
    h('a', { class: 'skip', href: '#main', onclick: (event) => {
      event.preventDefault();
      document.getElementById('main').focus();
    } }, 'Skip to the page'),
    h('header', { class: 'bar' }, toggle, h('a', { class: 'brand', href: `${BASE}/` }, h('img', { src: `${ROOT}/favicon.svg`, width: '24', height: '24', alt: '' }), 'Bellcast'),
      h('button', { type: 'button', class: 'search', 'aria-keyshortcuts': 'Control+K', onclick: openPalette }, 'Go to… ', h('kbd', {}, 'Ctrl K')),
      h('button', { type: 'button', class: 'refresh', 'aria-label': 'Refresh', title: 'Refresh (r)', 'aria-keyshortcuts': 'r', onclick: reload }, h('span', { 'aria-hidden': 'true' }, '↻')),
      h('span', { class: 'who' }, me.name), h('button', { type: 'button', onclick: signOut }, 'Sign out')),
    h('div', { class: 'frame' }, menu, h('main', { id: 'main', tabindex: '-1' })),
    dialog, keysDialog(mine()));
  route(false);
}

const isMenuOpen = () => document.body.classList.contains('open');

/** Expand or collapse the menu on small screens. Returns whether it is open. */
function setMenu(wanted) {
  document.body.classList.toggle('open', wanted);
  document.querySelector('button.menu').setAttribute('aria-expanded', String(wanted));
  return wanted;
}

/** The palette's actions by name: those of the whole console, and those of the displayed page. */
function actions() {
  const ofPage = [...document.querySelectorAll('#main .heading .tools :is(button, a)')];
  return [
    ['Refresh this page', 'r', reload], [zoneOf(location.href) === 'utc' ? 'Show local times' : 'Show times in UTC', '', switchZone],
    ['Keyboard shortcuts', '?', openKeys], ['Sign out', '', signOut],
    ...ofPage.map((one) => [one.getAttribute('aria-label') ?? one.textContent, '', () => {
      one.focus();
      one.click();
    }]),
  ];
}

function openKeys() {
  document.getElementById('keys').showModal();
}

async function signOut() {
  try {
    await request('DELETE', '/v1/session');
  } catch (problem) {
    markStale(document.querySelector('main'), problem, shownSince, signOut);
    scrollTo({ top: 0 });
    return;
  }
  sessionStorage.clear(); // texts that are not saved
  history.replaceState(null, '', `${BASE}/`);
  showSignIn();
}

const zoneOf = (url) => new URL(url, location.href).searchParams.get('tz') ?? '';

function switchZone() {
  const url = new URL(location.href);
  if (zoneOf(url) === 'utc') url.searchParams.delete('tz');
  else url.searchParams.set('tz', 'utc');
  history.replaceState(history.state, '', url);
  reload();
}

/** A URL with the time zone of the current one. */
function inZone(target) {
  const url = new URL(target, location.href);
  if (zoneOf(location.href)) url.searchParams.set('tz', zoneOf(location.href));
  return url;
}

/** Show the page of the URL. When the operator returns to a list, the row of `from` gets the focus. */
function route(focus = true, from = null) {
  if (me === null) return;
  pending.abort();
  current.abort();
  current = new AbortController();
  shownPath = location.pathname;
  setMenu(false);
  const page = found();
  const main = document.getElementById('main');
  for (const link of document.querySelectorAll('#menu a')) {
    const tenant = new URLSearchParams(location.search).get('tenant')?.replace(/^\*$/, '');
    link.href = `${BASE}${link.dataset.path}${tenant ? `?${new URLSearchParams({ tenant })}` : ''}`;
    if (link.dataset.path === page?.path) {
      link.setAttribute('aria-current', 'page');
      link.scrollIntoView({ block: 'nearest' });
    } else link.removeAttribute('aria-current');
  }
  document.title = `${page?.title ?? 'Not found'} · Bellcast`;
  // The parts of a page that load quickly appear together, without moving each other.
  const reveal = () => main.classList.remove('opening');
  const late = setTimeout(reveal, SKELETON_MS);
  const settle = () => {
    clearTimeout(late);
    reveal();
  };
  current.signal.addEventListener('abort', settle);
  main.classList.add('opening');
  const built = watchLoads(current.signal, () => {
    settle();
    shownSince = new Date();
    if (from && document.activeElement === main) [...main.querySelectorAll('a.row-link')].find((one) => one.pathname === from)?.focus();
  });
  fill(main, content(page, current.signal));
  if (focus) main.focus();
  built();
}

/** Rebuild the page, and replace the displayed one when everything is loaded. If the server cannot respond, the old page stays, with a mark. */
function reload() {
  const main = document.getElementById('main');
  pending.abort();
  const refresh = new AbortController();
  pending = refresh;
  main.setAttribute('aria-busy', 'true');
  refresh.signal.addEventListener('abort', () => main.removeAttribute('aria-busy'));
  const built = watchLoads(refresh.signal, (problem) => {
    if (problem && isTemporary(problem)) {
      markStale(main, problem, shownSince, reload);
      refresh.abort();
      return;
    }
    main.removeAttribute('aria-busy');
    current.abort();
    current = refresh;
    pending = new AbortController();
    shownSince = new Date();
    refill(main, shown);
  });
  const shown = content(found(), refresh.signal);
  built();
}

const local = () => location.pathname.slice(BASE.length) || '/';

/** The page of the URL. */
function found() {
  return PAGES.find((one) => one.path === local()) ?? PAGES.find((one) => one.detail && local().startsWith(`${one.path}/`));
}

function content(page, signal) {
  const isUtc = zoneOf(location.href) === 'utc';
  useZone(isUtc ? 'utc' : 'local');
  fill(document.querySelector('#menu .zone'), isUtc ? 'Show local times' : 'Show times in UTC');
  const isDetail = local() !== page?.path;
  const refusal = page ? refusalOf(page, me, isDetail) : 'There is no such page.';
  if (refusal) return [heading(page?.title ?? 'Not found'), h('p', {}, refusal), h('p', {}, h('a', { href: `${BASE}/` }, 'Go to the start page'))];
  return (isDetail ? page.detail : page.show)({
    me, signal, query: new URLSearchParams(location.search), path: location.pathname,
    key: isDetail ? decode(local().slice(page.path.length + 1)) : null,
    title: page.title, root: ROOT, url: (target) => `${BASE}${target}`, go, reload, may: (roles) => roles.includes(me.role),
    mayOpen: (target) => mine().some((one) => one.path === target),
  });
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function go(url) {
  history.pushState({ isWithin: true }, '', inZone(url));
  route();
}

/** Go back from an object to where it was opened, or to its list. Skipped while a text is edited, because the text would be lost. */
function back() {
  const page = found();
  if (!page || local() === page.path || document.querySelector('#main .yaml')) return;
  if (history.state?.isWithin) history.back();
  else go(`${BASE}${page.path}`);
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
    if (!document.querySelector('dialog[open]')) openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.target.closest('dialog')) return;
  if (event.target.closest('input, select, textarea')) {
    if (event.key === 'Escape' && event.target.closest('.filters')) document.getElementById('main').focus(); // shortcuts act on the page again
    return;
  }
  if (event.key === 'Escape') {
    if (isMenuOpen()) {
      setMenu(false);
      document.querySelector('button.menu').focus();
    } else back();
  } else if (event.key === '/') {
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
  } else if (event.key === 'r') {
    reload();
  } else if (event.key === '?') {
    openKeys();
  }
});

function moveInRows(step) {
  // Restore rows that were removed from the document before the focus reaches them.
  const links = [...document.querySelectorAll('.row-link, .parked')];
  const index = Math.min(Math.max(links.indexOf(document.activeElement) + step, 0), links.length - 1);
  if (links[index]?.matches('.parked')) {
    links[index].dispatchEvent(new Event('return'));
    moveInRows(step);
  } else links[index]?.focus();
}

window.addEventListener('popstate', () => route(true, shownPath));
start();
