/**
 * Health: readiness with its reason, the live nodes with their load, and the doctor with its findings as they arrive.
 */
import { fill, h, id, state, time } from './dom.js';
import { empty, failure, heading, load, readAll } from './list.js';
import { card, loadReadiness, number } from './page.js';
import { lines, withQuery } from './server.js';

/** Nodes report themselves every 2 s. */
const REFRESH_MS = 5000;
const READERS = ['owner', 'developer', 'support'];
const ORDER = ['problem', 'warning', 'ok'];

export function health(page) {
  const ready = h('div');
  const nodes = h('div');
  const refresh = () => load(nodes, page.signal, (signal) => readAll((after) => withQuery('/v1/nodes', { after }), 'nodes', signal), (all) => table(page, all));
  loadReadiness(page, ready);
  refresh();
  const timer = setInterval(() => document.hidden || refresh(), REFRESH_MS);
  page.signal.addEventListener('abort', () => clearInterval(timer));
  return [heading('Health'), card('Readiness', ready), card('Nodes', nodes), doctor(page)];
}

const COLUMNS = [
  ['Node', (one) => [h('b', {}, `${one.host}:${one.pid}`), ' ', one.is_self && h('span', { class: 'tag' }, 'this one'), h('div', { class: 'nowrap' }, id(one.id))]],
  ['Role', (one) => (one.role === 'worker' || one.runs_jobs ? one.role : `${one.role}, no jobs`)],
  ['Version', (one) => one.version],
  ['Started', (one) => time(one.started_at)],
  ['Connections', (one, page) => (one.connections > 0 ? h('a', { href: withQuery(page.url('/connections'), { node: one.id }) }, number(one.connections)) : '0')],
  ['CPU', (one) => `${Math.round(one.cpu * 100)} %`],
  ['Memory', (one) => (one.memory === null ? '–' : `${number(Math.round(one.memory / 1e6))} MB`)],
  ['Queue age', (one) => (one.queue_age === null ? '–' : `${number(one.queue_age / 1000)} s`)],
  ['Settings', (one) => `revision ${one.settings_revision}`],
];

function table(page, nodes) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Nodes' }, h('table', { class: 'labelled' },
    h('thead', {}, h('tr', {}, COLUMNS.map(([name]) => h('th', { scope: 'col' }, name)))),
    h('tbody', {}, nodes.map((one) => h('tr', {}, COLUMNS.map(([name, show]) => h('td', { 'data-label': name }, show(one, page))))))));
}

/** The doctor: shows findings as they arrive, and sorts them by severity once all have arrived. */
function doctor(page) {
  if (!page.may(READERS)) return null;
  const place = h('div', {}, empty('Checks the machine, the databases, the clocks, the other nodes and the URLs of this server, and suggests a fix for each problem. In a terminal:', 'bellcast doctor'));
  const status = h('p', { class: 'muted', role: 'status' });
  const button = h('button', { type: 'button', class: 'primary', onclick: () => run(page, button, status, place) }, 'Run the doctor');
  return card('Doctor', h('div', { class: 'actions' }, button, status), place);
}

async function run(page, button, status, place) {
  const findings = [];
  const list = h('ul', { class: 'findings' });
  button.disabled = true;
  status.textContent = 'Checking…';
  fill(place, list);
  try {
    await lines('POST', '/v1/doctor', page.signal, (one) => {
      findings.push(one);
      list.append(finding(one));
    });
    findings.sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state));
    fill(list, findings.map(finding));
    status.textContent = summary(findings);
  } catch (problem) {
    if (page.signal.aborted) return;
    status.textContent = '';
    place.append(failure(problem, () => run(page, button, status, place)));
  }
  button.disabled = false;
}

function finding(one) {
  return h('li', {}, state(one.state), h('b', {}, one.check), h('div', {}, h('p', {}, one.what), one.fix && h('p', { class: 'fix' }, h('span', { 'aria-hidden': 'true' }, '→ '), one.fix)));
}

function summary(findings) {
  const [problems, warnings] = ORDER.map((kind) => findings.filter((one) => one.state === kind).length);
  return `${problems === 0 ? 'No problems' : count(problems, 'problem')}, ${count(warnings, 'warning')}, ${count(findings.length, 'check')}.`;
}

const count = (value, word) => `${value} ${word}${value === 1 ? '' : 's'}`;
