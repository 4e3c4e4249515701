/**
 * Workflows: the diagram, the versions with their differences, and a dry run.
 */
import { difference } from './difference.js';
import { area, confirmed, field, fill, form, h, id, moment, state } from './dom.js';
import { edit, editLink, newLink, yamlOf } from './edit.js';
import { empty, facts, heading, load } from './list.js';
import { BUILDERS, CONTENT, card, detail, inTenant, number, parsed, part, remove, tenantOf } from './page.js';
import { get, path, request, withQuery } from './server.js';

/** Fields that summarize a step, the most descriptive first. */
const SUMMARY = ['title', 'subject', 'template', 'text', 'for', 'until', 'event', 'window', 'cron', 'url', 'function', 'workflow', 'limit'];

const KIND = {
  name: 'workflow', path: '/workflows',
  starter: { type: 'booking', steps: [
    { key: 'bell', type: 'inbox', title: 'New booking by {{ data.client }}' },
    { key: 'later', type: 'delay', for: '30m' },
    { key: 'mail', type: 'email', subject: 'New booking', text: 'Hello {{ recipient.name }},\n\n{{ data.client }} booked.\n' },
  ] },
  note: 'Changed content becomes a new version, which later triggers use; existing runs keep their version. Comments are not stored.',
};

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', link: (one) => path`/workflows/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'State', kind: 'state', of: (one) => (one.active ? 'active' : 'inactive') }, { name: 'Workflow', kind: 'title', of: (one) => one.key, text: (one) => one.name },
    { name: 'Type', kind: 'type', of: (one) => one.type }, page.may(CONTENT) && { name: 'Steps', kind: 'number', of: (one) => number(one.steps.length), width: '4rem' },
    { name: 'Version', kind: 'number', of: (one) => `v${one.version}`, width: '5rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '7rem' },
  ],
  none: { text: 'No workflow is defined. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};

export function workflow(page) {
  if (page.query.has('edit')) return edit(page, KIND);
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/workflows/${page.key}` + more, { ...tenant, ...query });
  return detail(page, url(), (one) => [
    heading(one.key, [h('a', { class: 'button', href: withQuery(page.url('/runs'), { workflow: one.key, ...tenant }) }, 'Runs'), editLink(page, KIND, one), isOwn(page, one) && [activation(page, one, url), remove(page, `Delete ${one.key}`, 'Delete', url(), withQuery(page.url('/workflows'), tenant))]]),
    facts([['Key', id(one.key)], ['Version', number(one.version)], ['State', state(one.active ? 'active' : 'inactive')], ['Type', one.type], ['Tenant', one.tenant ?? 'all']]),
    card('Steps', h('ol', { class: 'diagram' }, one.steps.map(stepBox))),
    card('YAML', h('pre', { tabindex: '0' }, h('code', {}, yamlOf(one)))),
    card('Versions', versions(page, one, url)),
    page.may(BUILDERS) && dryRun(page, url),
  ]);
}

/** Whether the operator may change this object itself: not the project's object on the page of a tenant. */
const isOwn = (page, one) => page.may(BUILDERS) && (one.tenant ?? '') === tenantOf(page).tenant;

function activation(page, one, url) {
  const word = one.active ? 'Switch off' : 'Switch on';
  return confirmed(`${word} ${one.key}`, word, async () => {
    await request('PATCH', url(), { active: !one.active });
    page.reload();
  });
}

function stepBox(step) {
  const summary = SUMMARY.filter((name) => step[name] !== undefined).map((name) => (typeof step[name] === 'string' ? step[name] : JSON.stringify(step[name])))[0];
  const branches = [...(step.branches ?? []).map((branch) => [condition(branch.if), branch.steps]), ...(step.else ? [['else', step.else]] : [])];
  return h('li', {},
    h('div', { class: 'box' }, h('b', {}, step.key), h('span', { class: 'tag' }, step.type), step.if && h('small', {}, `if ${condition(step.if)}`), summary && h('p', {}, summary)),
    branches.length > 0 && h('div', { class: 'branches' }, branches.map(([text, steps]) => h('div', {}, h('small', {}, text), h('ol', { class: 'diagram' }, steps.map(stepBox))))));
}

/** A condition as one line. */
function condition(value) {
  if (value?.var && value.op) return `${value.var} ${value.op} ${value.value === undefined ? '' : JSON.stringify(value.value)}`.trim();
  const [name, parts] = Object.entries(value ?? {})[0] ?? [];
  return Array.isArray(parts) ? parts.map(condition).join(name === 'all' ? ' and ' : ' or ') : JSON.stringify(value);
}

function versions(page, one, url) {
  const shown = h('div', { 'aria-live': 'polite' });
  return [part(page, url('/versions'), ({ versions: all }) => h('ul', { class: 'rows-of' }, all.map(({ version, created_at: at }, index) => h('li', {},
    h('b', {}, `Version ${version}`), version === one.version && state('current'), moment(at),
    index < all.length - 1 && h('button', { type: 'button', 'aria-label': `Changes of version ${version}`, onclick: () => compare(page, shown, url, all[index + 1].version, version) }, 'Changes'),
    isOwn(page, one) && version !== one.version && confirmed(`Make current: version ${version}`, 'Make current', async () => {
      await request('PATCH', url(), { version });
      page.reload();
    }))))), shown];
}

function compare(page, place, url, from, to) {
  const read = (version, signal) => get(url('', { version }), signal);
  load(place, page.signal, (signal) => Promise.all([read(from, signal), read(to, signal)]), ([before, after]) => [
    h('h3', {}, `Version ${from} to ${to}`),
    difference(yamlOf(before), yamlOf(after)),
  ]);
}

/** The channels that a trigger would use now. The server sends nothing. */
function dryRun(page, url) {
  const output = h('div', { 'aria-live': 'polite' });
  return card('Dry run', form([
    field('Recipient', { name: 'to', required: true, autocomplete: 'off', spellcheck: 'false' }),
    area('Data as JSON', { name: 'data', value: '{}' }),
  ], 'Show what would be sent', async ({ to, data }) => {
    const { plan } = await request('POST', url('/trigger', { dry_run: true }), { to: to.trim(), data: parsed(data) ?? {} }, page.signal);
    fill(output, plan.length === 0 ? empty('The workflow sends nothing by itself.') : h('ul', { class: 'rows-of' }, plan.map((one) => h('li', {}, h('span', { class: 'tag' }, one.channel), state(one.outcome), one.rule && `Rule: ${one.rule}`, one.at && moment(one.at)))));
  }), output);
}
