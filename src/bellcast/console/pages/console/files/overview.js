/**
 * The Overview: health, charts and numbers.
 */
import { charts } from './charts.js';
import { h } from './dom.js';
import { empty, filterBar, heading, load } from './list.js';
import { card, dialect, loadReadiness, number, storedRows } from './page.js';
import { get, withQuery } from './server.js';

export function overview(page) {
  const health = h('div');
  const counts = h('div');
  const { tenants } = page.me;
  const tenant = page.query.get('tenant') || tenants?.[0];
  loadReadiness(page, health);
  load(counts, page.signal, (signal) => get(withQuery('/v1/stats', { tenant }), signal), (stats) => [
    card('Connections', stats.connections.length === 0
      ? empty('No page is connected. Connections appear here by protocol.', '<bellcast-bell server="…" token="…"></bellcast-bell>')
      : h('ul', { class: 'numbers' }, stats.connections.map((one) => h('li', {}, h('b', {}, number(one.count)), dialect(one))))),
    card('Stored', isEmpty(stats) && firstSteps(page), storedRows(stats)),
  ]);
  return [heading('Overview'), h('section', { class: 'panel' }, h('h2', {}, 'Health'), health),
    filterBar(page, [{ name: 'tenant', label: 'Tenant', options: tenants }], { tenant: tenant ?? '' }), charts(page, tenant), counts];
}

const isEmpty = ({ store }) => store.notifications === 0 && store.announcements === 0;

/** The first step on a new server. */
const firstSteps = (page) => empty(['Nothing has been sent yet.', page.mayOpen('/setup') && [' ', h('a', { href: page.url('/setup') }, 'Setup'), ' leads to the first notification, step by step.']], 'bellcast notify alice "Hello"');
