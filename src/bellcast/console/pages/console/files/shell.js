/**
 * The frame of all pages: the menu with its counts, the tenant that is shown, and the operator's own menu.
 */
import { html, signal, useEffect, useRef } from './html.js';
import { hourOf, isBrowserUtc, number, zone } from './format.js';
import { Loaded, openLoads, refresh, refreshes, useLoad } from './load.js';
import { Avatar, Icon, Option, Popup } from './parts.js';
import { PAGES, pageOf } from './pages.js';
import { refusalOf } from './roles.js';
import { BASE, here, leave, localPath, setQuery, shownTenant } from './router.js';
import { ROOT, get, whenReached, withQuery } from './server.js';
import { THEMES, me, setTheme, theme } from './session.js';
import { readTenantNames, tenantName } from './tenant-names.js';

/** The counts of the menu are read again after this time. */
const COUNTS_MS = 30_000;
const DAY_MS = 86_400_000;
/** What the mark gets for the tab icon. */
const DOT = '<circle cx="24" cy="24" r="7" fill="#e5342b" stroke="#fff" stroke-width="2"/>';

/** Groups of the menu that take the place of the others while one of their pages is shown: each of the two menus fits a window of 800 px. */
const OF_SERVER = ['Configure', 'Access'];

/** Whether the menu of a small screen is open. */
export const isMenuOpen = signal(false);
const counts = signal({});
/** Since when the server has not answered, or null. */
const lostAt = signal(null);
whenReached((isReached) => { lostAt.value = isReached ? null : lostAt.value ?? Date.now(); });

/** The pages that the operator may open. */
export const ownPages = () => PAGES.filter((one) => refusalOf(one, me.value) === null);

/** The URL of a page for the tenant that is shown. */
export const pageUrl = (path) => withQuery(`${BASE}${path}`, { tenant: shownTenant(), tz: zone.value && 'utc' });

/** The entry of the menu that leads to a page. */
const placeOf = ({ path, within }) => within ?? path;

/** Links to the pages that share an entry of the menu with the one that is shown: those before it, or after it. */
export function Siblings({ isAfter }) {
  const shown = pageOf(localPath()), all = ownPages().filter((one) => placeOf(one) === placeOf(shown)), at = all.indexOf(shown);
  return (isAfter ? all.slice(at + 1) : all.slice(0, at)).map(({ path, title }) => html`<a key=${path} class="sibling" href=${pageUrl(path)}>${title}</a>`);
}

export function Brand() {
  return html`<a class="brand" href=${pageUrl('/')}><img src=${`${ROOT}/favicon.svg`} width="20" height="20" alt="" />Bellcast</a>`;
}

/** Return the focus to the page that the folded menu covers while it has the focus; says whether it did. */
export function fold() {
  const main = document.getElementById('main'), isOver = !isMenuOpen.value && document.activeElement.closest('.side')?.offsetWidth > main.offsetLeft;
  if (isOver) main.focus();
  return isOver;
}

function openMenu(menu) {
  isMenuOpen.value = true;
  setTimeout(() => (menu.querySelector('[aria-current]') ?? menu.querySelector('a')).focus());
}

export function Shell({ openPalette, openKeys, signOut, children }) {
  const menu = useRef(null);
  const isOpen = isMenuOpen.value;
  useCounts();
  const toggle = () => {
    if (isOpen) isMenuOpen.value = false;
    else openMenu(menu.current);
  };
  const skip = (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  };
  return html`<div class=${isOpen ? 'frame open' : 'frame'}>
    <a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <header class="bar"><button type="button" class="menu" aria-label="Menu" aria-expanded=${String(isOpen)} aria-controls="side" onClick=${toggle}><${Icon} name=${isOpen ? 'close' : 'menu'} /></button><${Brand} />
      <button type="button" class="search" aria-label="Go to…" onClick=${openPalette}><${Icon} name="search" /></button></header>
    <aside id="side" class="side">
      <div class="side-top"><${Brand} /><button type="button" class="quiet refresh" aria-label="Refresh" title="Refresh (r)" aria-keyshortcuts="r" onClick=${refresh}><${Icon} name="refresh" /></button></div>
      <${TenantSwitcher} />
      <button type="button" class="search" aria-keyshortcuts="Control+K" onClick=${openPalette}><${Icon} name="search" /><span>Go to…</span><kbd>Ctrl K</kbd></button>
      <${Menu} place=${menu} />
      ${lostAt.value && html`<p class="offline" role="status"><${Icon} name="warn" /> No connection since ${hourOf(lostAt.value)}</p>`}
      <${OwnMenu} openKeys=${openKeys} signOut=${signOut} />
    </aside>
    <main id="main" tabIndex="-1" aria-busy=${openLoads.value > 0 ? 'true' : null}>${children}</main>
  </div>`;
}

/** On a small screen, the other menu takes the place of this one, which its page has closed. */
const stay = ({ currentTarget: { parentElement: menu } }) => isMenuOpen.value && setTimeout(() => openMenu(menu));

const isOfServer = ({ group }) => OF_SERVER.includes(group);

function Menu({ place }) {
  useTabIcon();
  const shown = pageOf(localPath()), isServer = shown !== undefined && isOfServer(shown), pages = ownPages().filter((one) => !one.isPersonal && !one.within);
  useEffect(() => place.current.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' }), [shown]);
  // Where the way back leads: the page before those of the server.
  const left = useRef(pages[0]);
  if (shown?.group && !isServer) left.current = pages.find(({ path }) => path === placeOf(shown)) ?? left.current;
  const listed = pages.filter((one) => isOfServer(one) === isServer), first = pages.find(isOfServer);
  return html`<nav id="menu" ref=${place} aria-label="Pages">${isServer && html`<a class="turn" onClick=${stay} href=${pageUrl(left.current.path)}><${Icon} name="back" />Back to ${left.current.title}</a>`}${[...new Set(listed.map((one) => one.group))].map((group) => html`<div key=${group ?? ''} role="group" aria-label=${group ?? 'Start'}>
    ${group && html`<p class="group" aria-hidden="true">${group}</p>`}
    ${listed.filter((one) => one.group === group).map((one) => html`<a key=${one.path} href=${pageUrl(one.path)} aria-current=${shown && one.path === placeOf(shown) ? 'page' : null}><${Icon} name=${one.icon} /><span class="title">${one.title}</span>${counts.value[one.path] > 0
    && html`<span class=${`count${one.path === '/failures' ? ' bad' : ''}`} aria-hidden="true">${short(counts.value[one.path])}</span>`}</a>`)}
  </div>`)}${!isServer && first && html`<a class="turn" onClick=${stay} href=${pageUrl(first.path)}><${Icon} name="settings" />Configure<${Icon} name="chevron" /></a>`}</nav>`;
}

const short = (value) => (value < 1000 ? String(value) : `${number(Math.floor(value / 1000))}k`);

/** Keep the counts of failures of a day and of open connections current while the page is visible. */
function useCounts() {
  const tenant = shownTenant() || me.value.tenants?.[0] || '*';
  useEffect(() => {
    const abort = new AbortController();
    const total = async (path, query) => {
      try {
        return (await get(withQuery(path, { tenant, limit: 1, ...query }), abort.signal)).total?.value ?? 0;
      } catch {
        return 0;
      }
    };
    const read = async () => {
      if (document.hidden) return;
      const [failures, connections] = await Promise.all([
        total('/v1/failures', { from: new Date(Date.now() - DAY_MS).toISOString() }), total('/v1/connections'),
      ]);
      if (!abort.signal.aborted && !lostAt.value) counts.value = { '/failures': failures, '/connections': connections };
    };
    read();
    const timer = setInterval(read, COUNTS_MS);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [tenant, refreshes.value]);
}

/** The icon of the tab has a red dot while there are failures, also for operators who look at another tab. */
function useTabIcon() {
  const hasFailures = counts.value['/failures'] > 0;
  useEffect(() => {
    if (!hasFailures) return undefined;
    const icon = document.querySelector('link[rel=icon]'), { href } = icon, abort = new AbortController();
    fetch(href, { signal: abort.signal }).then((response) => response.text()).then((mark) => { icon.href = `data:image/svg+xml,${encodeURIComponent(mark.replace('</svg>', `${DOT}</svg>`))}`; }).catch(() => {}); // the icon stays as it is
    return () => {
      abort.abort();
      icon.href = href;
    };
  }, [hasFailures]);
}

/** Choose the tenant of all pages. */
function TenantSwitcher() {
  const shown = shownTenant(), tenant = shown || (me.value.tenants?.length === 1 && me.value.tenants[0]);
  useLoad(() => readTenantNames([tenant]), [tenant]);
  const choose = (close, key) => {
    close();
    // An object belongs to one tenant, so its list is shown instead.
    const page = pageOf(localPath());
    const url = new URL(here.value);
    if (page && localPath() !== page.path) url.pathname = `${BASE}${page.path}`;
    url.searchParams.delete('scope');
    if (key) url.searchParams.set('tenant', key);
    else url.searchParams.delete('tenant');
    leave(url);
  };
  return html`<${Popup} isStart hasText buttonClass="tenant" class="tenants" escaped=${fold} label="Whose rows are shown" button=${html`<${Avatar} ...${tenant ? { of: tenant, name: tenantName(tenant) } : { of: '', icon: 'tenants' }} /><span class="name"><span class="hidden">Tenant: </span>${tenant ? tenantName(tenant) : 'All tenants'}</span><${Icon} name="chevron" />`}>
    ${(close) => html`<${TenantMenu} shown=${shown} choose=${(key) => choose(close, key)} />`}<//>`;
}

/** The menu of tenants, of which the module is loaded when it is opened. */
function TenantMenu(props) {
  const found = useLoad(() => import('./tenant-menu.js'), []);
  return html`<${Loaded} of=${found}>${({ TenantList }) => html`<${TenantList} ...${props} />`}<//>`;
}

function OwnMenu({ openKeys, signOut }) {
  const isUtc = zone.value === 'UTC';
  const isCurrent = localPath() === '/account';
  return html`<${Popup} isStart hasText buttonClass="own" class="own-menu" escaped=${fold} label=${`${me.value.name}, ${me.value.role}`} button=${html`<${Avatar} of=${me.value.name} /><span class="name">${me.value.name}</span><span class="muted">${me.value.role}</span>`}>
    ${(close) => html`<div class="options">
      <a class="option" href=${pageUrl('/account')} aria-current=${isCurrent ? 'page' : null} onClick=${close}><${Icon} name="account" /><span>Account</span></a>
      ${!isBrowserUtc && html`<${Option} icon="schedules" choose=${() => {
        close();
        setQuery({ tz: isUtc ? null : 'utc' }, { isQuiet: true });
      }}>${isUtc ? 'Show local times' : 'Show times in UTC'}<//>`}
      <${Option} icon="keyboard" choose=${() => {
        close();
        openKeys();
      }}>Keyboard shortcuts<//>
      <div class="segments themes" role="group" aria-label="Theme">${THEMES.map((one) => html`<button key=${one} type="button" aria-pressed=${String(theme.value === one)} onClick=${() => setTheme(one)}>${one[0].toUpperCase() + one.slice(1)}</button>`)}</div>
      <${Option} icon="exit" choose=${() => {
        close();
        signOut();
      }}>Sign out<//></div>`}<//>`;
}
