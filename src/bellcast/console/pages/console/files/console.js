/**
 * The console: the session, the pages by URL, and the keyboard. It uses the documented REST API only.
 */
import { batch, effect, html, render, signal, useLayoutEffect, useRef } from './html.js';
import { isBrowserUtc, zone } from './format.js';
import { Failure, Loaded, Outdated, SKELETON_MS, focusFirst, openLoads, outdated, refresh, useEvery, useLoad } from './load.js';
import { Palette, keepFocus, openPalette } from './palette.js';
import { Empty, Heading, Icon } from './parts.js';
import { pageOf, refuse } from './pages.js';
import { refusalOf } from './roles.js';
import { BASE, arrival, go, goBack, here, leave, localPath, mayEnd } from './router.js';
import { ResourcePage } from './resource-page.js';
import { moveInRows } from './rows.js';
import { ROOT, get, request, whenPasswordRequired, whenSignedOut, withQuery } from './server.js';
import { SIGNED_IN, SIGNED_IN_PATH, applyTheme, me, remember, remembered } from './session.js';
import { local } from './storage.js';
import { Shell, fold, isMenuOpen, ownPages, pageUrl } from './shell.js';

/** `g` followed by a letter within this time opens a page. */
const CHORD_MS = 1000;
/** The module of a page is loaded again after this time while the server cannot be reached. */
const RETRY_MS = 3000;
/** A page is probably meant if its slash and its first three letters are right. */
const LIKE = 4;
/** Objects that the palette offers before something is typed. */
const RECENT = 6;

/** What the window shows: nothing yet, set-up, sign-in, the second factor, a problem, or the pages. */
const screen = signal({ kind: 'start' });

async function start() {
  whenSignedOut(async () => (me.value === null ? false : (await dialogs()).signInAgain(me.value)));
  whenPasswordRequired(async (method, path) => (await dialogs()).askPassword(me.value, method, path));
  try {
    enter(await get('/v1/me'));
  } catch (problem) {
    if (problem.status === 401) showSignIn();
    else screen.value = { kind: 'failed', problem, retry: start };
  }
}

/** Show sign-in, or set-up if the console has no owner. The URL stays, so that links survive sign-in. */
async function showSignIn() {
  local.removeItem(SIGNED_IN);
  batch(() => {
    screen.value = { kind: 'start' };
    me.value = null;
  });
  try {
    const { needed, provider } = await get('/v1/setup');
    document.title = needed ? 'Set up · Bellcast' : 'Sign in · Bellcast';
    screen.value = { kind: needed ? 'set-up' : 'sign-in', provider };
  } catch (problem) {
    screen.value = { kind: 'failed', problem, retry: showSignIn };
  }
}

function enter(operator) {
  if (operator.must_enrol) {
    document.title = 'Second factor · Bellcast';
    screen.value = { kind: 'enrolment' };
    return;
  }
  me.value = operator;
  local.setItem(SIGNED_IN, 'yes');
  screen.value = { kind: localPath() === SIGNED_IN_PATH ? 'signed-in' : 'pages' };
}

async function signOut() {
  if (!mayEnd()) return;
  try {
    await request('DELETE', '/v1/session');
  } catch (problem) {
    outdated.value = { problem, since: new Date(), retry: signOut };
    scrollTo({ top: 0 });
    return;
  }
  sessionStorage.clear(); // texts that are not saved
  history.replaceState(null, '', `${BASE}/`);
  here.value = new URL(location.href);
  showSignIn();
}

const enrolment = () => import('./enrolment.js'), signIn = () => import('./sign-in.js');
/** The module with the dialogs over the pages, once one was needed. */
const asking = signal(null);
/** The module with the dialog of the shortcuts, a new object each time that it is to open. */
const shortcuts = signal(null);
const dialogs = async () => (asking.value ??= await signIn().catch(refuse));

/** A page before the console, whose module most visits do not need. */
function Once({ load, name, ...more }) {
  const module = useLoad(load);
  return html`<${Loaded} of=${module}>${({ [name]: part }) => html`<${part} ...${more} />`}<//>`;
}

function App() {
  const { kind, provider, problem, retry } = screen.value;
  if (kind === 'failed') return html`<main class="card"><${Failure} problem=${problem} retry=${retry} /></main>`;
  if (kind === 'set-up') return html`<${Once} load=${enrolment} name="SetUp" done=${enter} provider=${provider} />`;
  if (kind === 'sign-in') return html`<${Once} key="sign-in" load=${signIn} name="SignIn" done=${enter} provider=${provider} />`;
  if (kind === 'signed-in') return html`<${Once} key="signed-in" load=${signIn} name="SignedIn" />`;
  if (kind === 'enrolment') return html`<${Once} load=${enrolment} name="Enrolment" done=${start} signOut=${signOut} />`;
  if (kind === 'start') return null;
  return html`<${Shell} openPalette=${openPalette} openKeys=${openKeys} signOut=${signOut}><${Page} /><//><${Palette} actions=${actions} />${shortcuts.value && html`<${shortcuts.value.ShortcutList} opening=${shortcuts.value} />`}${asking.value && html`<${asking.value.Asked} />`}`;
}

async function openKeys() {
  const loaded = await import('./shortcuts.js').catch(() => null);
  if (loaded) shortcuts.value = { ...loaded };
}

/** The palette's actions: those of the whole console, and those of the displayed page. */
function actions() {
  const ofPage = [...document.querySelectorAll('#main .heading .tools :is(button, a)')];
  return [
    ['Refresh this page', 'r', refresh],
    ...(isBrowserUtc ? [] : [[zone.value ? 'Show local times' : 'Show times in UTC', '', () => switchZone()]]),
    ['Keyboard shortcuts', '?', openKeys], ['Sign out', '', signOut],
    ...ofPage.map((one) => [one.getAttribute('aria-label') ?? one.textContent, '', () => {
      one.focus();
      one.click();
    }]),
  ];
}

function switchZone() {
  const url = new URL(here.value);
  if (zone.value) url.searchParams.delete('tz');
  else url.searchParams.set('tz', 'utc');
  history.replaceState(history.state, '', url);
  here.value = url;
}

effect(() => { zone.value = here.value.searchParams.get('tz') === 'utc' ? 'UTC' : undefined; });

/** Parts of the query that a page reads while it stays. */
const FILTERS = ['range', 'find', 'show', 'text'];

/** The page of the URL. */
function Page() {
  const local = localPath();
  const page = pageOf(local);
  const isObject = page !== undefined && local !== page.path;
  const source = page && (isObject && page.editor && here.value.searchParams.has('edit') ? page.editor : isObject && page.detail ? page.detail : here.value.searchParams.has('edit') && page.edit ? page.edit : page.show);
  // A list stays while its objects open and close beside it.
  // An editor keeps its text while the query has another view of it, and a form while its rows are filtered or a chart has another time range.
  const view = source?.kind === 'list' ? page.path : here.value.pathname + (here.value.searchParams.has('edit') ? '?edit' : [...here.value.searchParams].filter(([name]) => !FILTERS.includes(name)));
  useArrival(view, page);
  if (!page) return html`<${Nowhere} local=${local} />`;
  const refusal = refusalOf(page, me.value, isObject);
  if (refusal) return html`<${Heading} title=${page.title} /><${Empty} icon="lock" text=${refusal}><a class="button primary" href=${pageUrl('/')}>Open the Overview</a><//>`;
  return html`<${Outdated} />${source === page.detail && html`<a class="quiet back-link" aria-label=${`Back to ${page.title}`} href=${pageUrl(page.path)}><${Icon} name="back" /><span>${page.title}</span></a>`}<${Source} key=${view} source=${source} page=${contextOf(page, isObject)} />`;
}

/** No page, and the one that is probably meant: that of which the path or the title begins as this path does, such as `/workflow`. */
function Nowhere({ local }) {
  const shared = (text) => [...text].findIndex((letter, index) => letter !== local[index]) + 1 || text.length + 1;
  const near = ({ path, title }) => Math.max(shared(path), shared(`/${title.toLowerCase().replace(/ /g, '-')}`));
  const [nearest] = ownPages().toSorted((one, other) => near(other) - near(one)), isMeant = near(nearest) > LIKE;
  return html`<${Heading} title="Not found" /><${Empty} icon="search" text=${`No such page. The console has nothing at ${local}.`}>${isMeant && html`<a class="button primary" href=${pageUrl(nearest.path)}>Open ${nearest.title}</a> `}<button type="button" class=${isMeant ? null : 'primary'} onClick=${openPalette}>Find a page</button><//>`;
}

/** What a page gets: the operator, the URL, and how to move. */
function contextOf(page, isObject) {
  const local = localPath();
  return {
    me: me.value, query: here.value.searchParams, path: here.value.pathname, href: here.value.href, title: page.title, icon: page.icon, list: page.path, pane: page.pane, root: ROOT,
    key: isObject ? decode(local.slice(page.path.length + 1)) : null,
    url: (target) => `${BASE}${target}`, go, reload: refresh, may: (roles) => roles.includes(me.value.role),
    mayOpen: (target) => ownPages().some((one) => one.path === target),
  };
}

const isReachable = () => fetch(`${ROOT}/healthz`).then(({ ok }) => ok, () => false);

/** A page whose module is loaded when it opens. */
function Source({ source, page }) {
  const module = useLoad(source.load, []);
  useEvery(RETRY_MS, async () => { if (module.problem?.status === 0 && await isReachable()) module.reload(); });
  return html`${module.value === undefined && module.problem && html`<${Heading} title=${page.title} />`}<${Loaded} of=${module}>${(loaded) => {
    const part = loaded[source.name];
    if (source.kind === 'list') return html`<${ResourcePage} page=${page} resource=${part} hasPane=${page.pane !== undefined} pane=${page.key !== null && html`<${Source} key=${page.path} source=${page.pane} page=${page} />`} />`;
    return html`<${part} page=${page} />`;
  }}<//>`;
}

/** Keep which objects were opened last, for the palette. */
function keepRecent({ path, icon, title: note }, name) {
  const { pathname, searchParams } = here.value;
  if (localPath() === path || searchParams.has('edit')) return;
  const one = { icon, name, note, url: withQuery(pathname, { tenant: searchParams.get('tenant') }) };
  remember('recent', [one, ...remembered('recent', []).filter(({ url }) => url !== one.url)].slice(0, RECENT));
}

/** Reveal a new page when its parts are loaded, or after a short time; move the focus to it, and set the title of the window. */
function useArrival(view, page) {
  const last = useRef(null);
  const isSettled = openLoads.value === 0;
  useLayoutEffect(() => {
    const main = document.getElementById('main');
    outdated.value = null;
    isMenuOpen.value = false;
    main.classList.add('opening');
    if (last.current !== null && arrival.focus) main.focus();
    last.current = view;
    const late = setTimeout(() => main.classList.remove('opening'), SKELETON_MS);
    return () => clearTimeout(late);
  }, [view]);
  useLayoutEffect(() => {
    // The parts of a new page begin to load after this page was drawn.
    if (!isSettled || openLoads.peek() > 0) return;
    const main = document.getElementById('main');
    main.classList.remove('opening');
    const title = main.querySelector('h1')?.textContent;
    document.title = [title, title === page?.title ? null : page?.title, 'Bellcast'].filter(Boolean).join(' · ');
    if (page && title && !main.querySelector('.failure')) keepRecent(page, title);
    if (!focusFirst(main)) return;
    if (arrival.from) [...main.querySelectorAll('a.row-link')].find((one) => one.pathname === arrival.from)?.focus();
    if (arrival.focus) keepFocus();
  }, [isSettled, here.value.href]);
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The first that is shown: an empty list hides its filters. */
const shown = (selector) => [...document.querySelectorAll(selector)].find((one) => one.checkVisibility());

let chordUntil = 0;

document.addEventListener('keydown', (event) => {
  if (me.value === null) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    if (!document.querySelector('dialog[open]')) openPalette();
    return;
  }
  // Until the next frame, a dialog that was closed may still have the focus: the key belongs to the page.
  const isTyped = event.target.closest('input, select, textarea') && !event.target.closest('dialog');
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.target.closest('dialog[open]')) return;
  if (isTyped) {
    if (event.key === 'Escape' && event.target.closest('.filters')) document.getElementById('main').focus(); // shortcuts act on the page again
    return;
  }
  if (event.key === 'Escape') escape();
  else if (event.key === '/') {
    event.preventDefault();
    const target = shown('.filters :is(input, .add-filter)') ?? shown('button.search');
    target?.focus();
    if (target?.matches('.add-filter')) target.click();
  } else if (event.key.length === 1 && chordUntil > event.timeStamp) { // a pressed Shift is no letter
    chordUntil = 0;
    const page = ownPages().find((one) => one.letter === event.key);
    if (page) leave(pageUrl(page.path));
  } else if (event.key === 'j' || event.key === 'k') move(event.key === 'j' ? 1 : -1);
  else if (event.key === 'g') chordUntil = event.timeStamp + CHORD_MS;
  else if (event.key === 'r') refresh();
  else if (event.key === '?') openKeys();
});

function escape() {
  if (isMenuOpen.value) {
    isMenuOpen.value = false;
    document.querySelector('button.menu').focus();
    return;
  }
  if (fold()) return;
  const close = document.querySelector('.pane-bar button');
  const page = pageOf(localPath());
  // Escape ends an entry, not the work on an object.
  if (!page || localPath() === page.path || here.value.searchParams.has('edit')) return;
  if (close) close.click();
  else goBack(pageUrl(page.path));
}

function move(step) {
  if (moveInRows(step)) return;
  const links = [...document.querySelectorAll('#main .row-link')];
  links[Math.min(Math.max(links.indexOf(document.activeElement) + step, 0), links.length - 1)]?.focus();
}

/** A control that had the focus and is gone leaves it to the pane or the page that it was in, unless something else takes it within this time. */
const LEFT_MS = 100;
let focused = null, around = null;
document.addEventListener('focusin', ({ target }) => {
  focused = target;
  around = target.closest('.pane');
});
// A click on a text leaves it on purpose.
document.addEventListener('mouseup', () => { if (document.activeElement === document.body && focused?.isConnected) focused = null; });
const isLost = () => document.activeElement === document.body && focused !== null && !focused.isConnected;
const keepLost = () => isLost() && (around?.isConnected ? around : document.getElementById('main'))?.focus({ preventScroll: true });
new MutationObserver(() => isLost() && setTimeout(keepLost, LEFT_MS)).observe(document.body, { childList: true, subtree: true });

applyTheme();
render(html`<${App} />`, document.getElementById('app'));
start();
