/**
 * Failures: messages, runs and jobs that failed permanently, by cause; replays that retry them, with their progress.
 */
import { openDialog } from './dialog.js';
import { confirmed, fill, h, quantity, state, time } from './dom.js';
import { CHANNEL, PROVIDER, RANGE, WORKFLOW, chosenRange, empty, failure, filterBar, heading, listPage, load, rangeNote, since } from './list.js';
import { BUILDERS, CONTENT, count, number } from './page.js';
import { get, path, request, withQuery } from './server.js';

/** Fields that are equal within a group of failures, and that a replay's filter supports. */
const FIELDS = ['kind', 'channel', 'provider', 'workflow', 'job', 'webhook', 'cause'];
const KINDS = ['', 'message', 'run', 'job'];
const CHANNEL_NAMES = { email: 'E-mail', sms: 'SMS', push: 'Push message', chat: 'Chat message' };
/** Number of recent replays on the page. */
const SHOWN_REPLAYS = 5;
/** Maximum causes in the API's response, most frequent first. */
const MAX_CAUSES = 200;
/** The server retries several thousand failures in this time. */
const POLL_MS = 1000;

export function failures(page) {
  const list = h('div');
  const replays = h('div');
  const draw = () => fill(list, page.query.get('cause') ? failuresOfCause(page, watch) : causes(page, watch));
  let turn = 0;
  const watch = (tenant) => {
    turn += 1;
    const mine = turn;
    watchReplays(page, tenant, replays, draw, () => mine === turn && !page.signal.aborted);
  };
  draw();
  watch(page.query.get('tenant') || '*');
  return [heading('Failures'), replays, list];
}

/** The filters of the page: the standard ones, and those set by a link. */
function filtersOf(page) {
  const fields = [
    { name: 'kind', label: 'Kind', options: KINDS }, CHANNEL, PROVIDER, WORKFLOW,
    { name: 'job', label: 'Job' }, { name: 'webhook', label: 'Webhook' }, { name: 'cause', label: 'Cause' },
  ];
  return [...fields.filter(({ name }) => name === 'kind' || name === 'channel' || page.query.get(name)), RANGE];
}

/** The filter of a replay that matches the selected failures. */
function filterOf(page, fields) {
  const filter = { ...fields, from: since(page.query.get('range') ?? ''), ...chosenOf(page) };
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
}

/** The range selected in a chart, unless another one has been selected since. */
const chosenOf = (page) => (page.query.get('range') ? null : chosenRange(page));

const fieldsOf = (page) => Object.fromEntries(FIELDS.map((name) => [name, page.query.get(name) ?? '']));

function causes(page, started) {
  const place = h('div');
  const tenant = { name: 'tenant', label: 'Tenant', ...(page.me.tenants && { options: ['', ...page.me.tenants] }) };
  const filters = [...filtersOf(page), tenant];
  const query = Object.fromEntries(filters.map(({ name }) => [name, page.query.get(name) ?? '']));
  const chosen = chosenOf(page);
  const wanted = { ...filterOf(page, fieldsOf(page)), tenant: query.tenant || '*' };
  load(place, page.signal, (signal) => get(withQuery('/v1/failures/causes', wanted), signal), ({ causes: groups, total }) => {
    if (groups.length === 0) {
      const isFiltered = Object.entries(query).some(([name, value]) => value && name !== 'tenant');
      return isFiltered ? empty('No failures match these filters.') : empty('No message, run or job has failed. Permanent failures appear here.', 'bellcast replay --all --dry-run');
    }
    const owners = [...new Set(groups.map((one) => one.tenant ?? ''))];
    const all = { title: 'Replay all failures', tenant: owners[0], body: { filter: filterOf(page, fieldsOf(page)) } };
    return [
      h('div', { class: 'choice' }, h('p', { class: 'big' }, `${count(total.value, 'failure')}${total.exact ? '' : ' or more'}, ${groups.length < MAX_CAUSES ? count(groups.length, 'cause') : `the ${MAX_CAUSES} most frequent causes`}`),
        page.may(BUILDERS) && (owners.length === 1 ? replayButton(page, 'Replay all…', all, started) : h('span', { class: 'muted' }, 'Filter by one tenant to replay all.'))),
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Causes' }, h('table', { class: 'causes' },
        h('thead', {}, h('tr', {}, ['Cause', 'Failures', 'Of', 'Tenant', 'Newest', 'Oldest'].map((name) => h('th', { scope: 'col', class: name === 'Failures' && 'number' }, name)), h('th', { scope: 'col' }, h('span', { class: 'hidden' }, 'Actions')))),
        h('tbody', {}, groups.map((group) => causeRow(page, group, started))))),
    ];
  });
  return [h('p', { class: 'muted' }, 'Messages that failed or bounced after all attempts, failed runs of workflows, and dead jobs.'), filterBar(page, filters, query), chosen && rangeNote(page, chosen), place];
}

function causeRow(page, group, started) {
  const fields = Object.fromEntries(FIELDS.map((name) => [name, group[name] ?? '']));
  const href = withQuery(page.url('/failures'), { ...fields, range: page.query.get('range') ?? '', tenant: group.tenant ?? '' });
  const replay = { title: `Replay ${count(group.count, 'failure')}`, cause: group.cause, tenant: group.tenant ?? '', body: { filter: filterOf(page, fields) } };
  return h('tr', {},
    h('td', {}, h('a', { href, class: 'row-link' }, group.cause)),
    h('td', { 'data-label': 'Failures', class: 'number' }, h('b', {}, quantity(number(group.count), group.count === 1 ? 'failure' : 'failures'))),
    h('td', { 'data-label': 'Of' }, subject(group)),
    h('td', { 'data-label': 'Tenant', class: group.tenant ? undefined : 'none' }, group.tenant ?? '–'),
    h('td', { 'data-label': 'Newest', class: 'when' }, time(group.newest.created_at)),
    h('td', { 'data-label': 'Oldest' }, time(group.oldest_at)),
    h('td', {}, page.may(BUILDERS) && replayButton(page, 'Replay…', replay, started)));
}

/** The failed object: a message of a channel, a run of a workflow, or a job. */
function subject({ kind, channel, provider, workflow, job, webhook }) {
  const name = CHANNEL_NAMES[channel] ?? 'Message';
  if (kind === 'message') return provider ? `${name} through ${provider}` : name;
  if (kind === 'run') return workflow ? `Run of ${workflow}` : 'Run';
  if (webhook) return `Delivery to the webhook ${webhook}`;
  return job ? `Job ${job}` : 'Job';
}

function failuresOfCause(page, started) {
  const selected = new Set();
  const tenant = page.query.get('tenant') ?? '';
  const chosen = h('button', { type: 'button', disabled: true, onclick: () => openReplay(page, { title: 'Replay the selected failures', tenant, body: { ids: [...selected] } }, started) }, 'Replay selected…');
  const mayReplayMany = page.may(BUILDERS);
  const update = () => {
    const isTooMany = selected.size > 1 && !mayReplayMany;
    chosen.disabled = selected.size === 0 || isTooMany;
    chosen.textContent = selected.size === 0 ? 'Replay selected…' : isTooMany ? 'Select one to replay' : `Replay ${number(selected.size)} selected…`;
  };
  const select = (one) => h('input', { type: 'checkbox', 'aria-label': `Select ${one.recipient ?? one.id}`, onchange: (event) => {
    if (event.target.checked) selected.add(one.id);
    else selected.delete(one.id);
    update();
  } });
  const [, note, bar, place] = listPage(page, {
    title: 'Failures', path: '/v1/failures', rows: 'failures', filters: filtersOf(page),
    columns: [
      ['Failure', (one) => h('span', { class: 'test' }, page.may(CONTENT) && select(one), nameOf(page, one))],
      ['State', (one) => state(one.state)], ['Reason', (one) => one.reason], ['Of', subject], ['Created', (one) => time(one.created_at)],
    ],
    none: 'Nothing failed with this cause.',
    note: 'The cause is the reason without addresses, ids and long numbers.',
  });
  const back = h('a', { href: withQuery(page.url('/failures'), { range: page.query.get('range') ?? '' }) }, 'All causes');
  const all = mayReplayMany && replayButton(page, 'Replay all of this cause…', { title: 'Replay all failures of this cause', tenant, body: { filter: filterOf(page, fieldsOf(page)) } }, started);
  return [h('p', {}, back), h('h2', {}, page.query.get('cause')), note, bar, page.may(CONTENT) && h('div', { class: 'choice' }, all, chosen), place];
}

/** A failure with the link to its message or run. A dead job that executed one has its id. */
function nameOf(page, one) {
  const name = one.recipient ?? one.id;
  const kind = one.kind === 'job' ? one.job : one.kind;
  const target = { message: path`/messages/${one.id}`, run: path`/runs/${one.id}` }[kind];
  return target && page.may(CONTENT) ? h('a', { href: withQuery(page.url(target), { tenant: one.tenant ?? '' }), class: 'row-link' }, name) : h('code', {}, name);
}

/** @param replay its `title`, `tenant` and request `body`, and `cause` if it replays a single cause */
function replayButton(page, text, replay, started) {
  const { title, cause } = replay;
  return h('button', { type: 'button', 'aria-label': cause ? `${title}: ${cause}` : title, onclick: () => openReplay(page, replay, started) }, text);
}

/** Show the number of failures and the side effects of a replay, and start it on request. */
function openReplay(page, { title, tenant, body, cause }, started) {
  const url = withQuery('/v1/replays', { tenant });
  const place = h('div', { class: 'steps' });
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Close');
  const error = h('p', { class: 'error', role: 'alert' });
  const start = async (event) => {
    event.target.disabled = true;
    error.textContent = '';
    try {
      await request('POST', url, body, page.signal);
      dialog.close();
      started(tenant);
    } catch (problem) {
      error.textContent = problem.message;
      event.target.disabled = false;
    }
  };
  // Outside of the loaded part, so that the buttons are side by side.
  const primary = (plan) => {
    close.before(h('button', { type: 'button', class: 'primary', onclick: start }, `Replay ${plan.exact ? number(plan.matched) : `${number(plan.matched)} or more`}`));
    return null;
  };
  const dialog = openDialog(page, title, cause && h('p', { class: 'muted' }, cause), place, h('div', { class: 'choice' }, close));
  load(place, page.signal, (signal) => request('POST', url, { ...body, dry_run: true }, signal), (plan) => plan.matched === 0
    ? h('p', {}, 'No failures match now: they were retried or deleted.')
    : [
      h('ul', { class: 'effects' }, plan.effects.map((effect) => h('li', {}, sentence(effect)))),
      plan.effects.some((effect) => effect.kind === 'message') && h('p', { class: 'muted' }, 'Messages that arrived although the attempt failed will arrive twice.'),
      !plan.exact && h('p', { class: 'muted' }, 'These are the newest failures; the replay covers the others too.'),
      error, primary(plan),
    ]);
}

function sentence({ kind, channel, workflow, job, count: amount }) {
  if (kind === 'run') return `Continues ${count(amount, 'run')} of ${workflow} at the step that failed`;
  if (kind === 'job') return job === 'webhook' ? `Delivers ${count(amount, 'event')} to webhooks again` : `Repeats ${count(amount, 'job')} of the kind ${job}`;
  const name = channel === 'sms' ? 'SMS' : CHANNEL_NAMES[channel].toLowerCase();
  return `Sends ${count(amount, name, channel === 'sms' ? 'SMS' : undefined)} again`;
}

/**
 * Show the recent replays of a tenant, or of all (`*`), and their progress, until all have ended. Then call `ended`.
 * Stop when `isPresent` is false.
 */
async function watchReplays(page, tenant, place, ended, isPresent) {
  let wasRunning = false;
  try {
    for (;;) {
      const { replays } = await get(withQuery('/v1/replays', { limit: SHOWN_REPLAYS, tenant }), page.signal);
      if (!isPresent()) return;
      const isRunning = replays.some((one) => one.state === 'running');
      // Do not replace a button that waits for its second click.
      if (!place.querySelector('[data-sure]') || !isRunning) showReplays(page, place, replays);
      if (wasRunning && !isRunning) ended();
      wasRunning = isRunning;
      if (!isRunning) return;
      await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
      if (!isPresent()) return;
    }
  } catch (problem) {
    if (isPresent()) fill(place, failure(problem, () => watchReplays(page, tenant, place, ended, isPresent)));
  }
}

function showReplays(page, place, replays) {
  if (replays.length === 0) {
    fill(place);
    return;
  }
  const isRunning = replays.some((one) => one.state === 'running');
  fill(place, h('details', { class: 'panel replays', open: isRunning || place.querySelector('details')?.open === true },
    h('summary', {}, isRunning ? 'Replays: running' : `Recent replays: ${count(replays[0].retried, 'failure')} retried ${ago(replays[0])}`),
    h('ul', {}, replays.map((one) => h('li', {},
      h('div', {}, state(one.state), ' ', h('b', {}, summary(one)), one.tenant && ` of ${one.tenant}`, ' ', time(one.created_at)),
      one.state === 'running' && h('progress', { max: one.matched, value: one.exact ? one.examined : undefined, 'aria-label': `Progress of ${summary(one)}` }),
      h('div', { class: 'choice' }, h('span', { class: 'muted', role: one.state === 'running' && 'status' }, progressOf(one)),
        one.state === 'running' && page.may(BUILDERS) && confirmed(`Cancel ${summary(one)}`, 'Cancel', async () => {
          await request('DELETE', withQuery(path`/v1/replays/${one.id}`, { tenant: one.tenant ?? '' }));
          fill(place);
        })))))));
}

const ago = (one) => time(one.ended_at ?? one.created_at).textContent;

function progressOf(one) {
  const total = one.exact ? number(one.matched) : `${number(one.matched)} or more`;
  const skipped = one.examined - one.retried;
  return `${number(one.retried)} of ${total} retried${skipped > 0 ? `, ${number(skipped)} had changed` : ''}`;
}

/** The filter of a replay in words. */
function summary({ filter, ids }) {
  if (filter === null) return `${count(ids, 'selected failure')}`;
  const parts = [filter.kind && subject({ ...filter }), !filter.kind && CHANNEL_NAMES[filter.channel], filter.cause].filter(Boolean);
  return parts.length > 0 ? parts.join(': ') : 'All failures';
}
