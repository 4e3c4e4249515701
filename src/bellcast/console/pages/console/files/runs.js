/**
 * Runs of workflows, and one as a waterfall of its steps with their inputs and outputs.
 */
import { confirmed, duration, fill, h, id, moment, state, time } from './dom.js';
import { CHANNEL, PROVIDER, RANGE, RECIPIENT, WORKFLOW } from './filters.js';
import { empty, facts, heading, json } from './list.js';
import { BUILDERS, CONTENT, card, detail, inTenant, recipientLink, tenantOf } from './page.js';
import { get, path, request, withQuery } from './server.js';

const ENDED = new Set(['completed', 'cancelled', 'merged', 'throttled', 'failed']);
/** An interval without events is collapsed if it is at least this long and takes the larger part of the run. */
const FOLDED_MS = 100;
/** Width of a collapsed interval in percent, and minimum width of a bar in px. */
const FOLD_WIDTH = 8;
const MIN_WIDTH = 24;

export const runs = {
  path: '/v1/runs', rows: 'runs', link: (one) => path`/runs/${one.id}`, isNewestFirst: true, single: ['recipient', 'trigger'],
  filters: [WORKFLOW, RECIPIENT, { name: 'trigger', label: 'Trigger', isHidden: true }, CHANNEL, PROVIDER, { name: 'state', label: 'State', options: ['running', 'waiting', 'throttled', 'paused', 'completed', 'failed', 'cancelled', 'merged'] }, RANGE],
  views: [['Failed', { state: 'failed' }], ['Waiting', { state: 'waiting' }]],
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, { name: 'Workflow', kind: 'title', of: (one) => `${one.workflow} for ${one.recipient}`, text: (one) => one.reason },
    { name: 'Version', of: (one) => `v${one.version}`, width: '4rem' }, { name: 'Duration', kind: 'number', of: (one) => one.ended_at && duration(Date.parse(one.ended_at) - Date.parse(one.created_at)), width: '5rem' },
    { name: 'Recipient', kind: 'person', of: (one) => one.recipient }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'Started', kind: 'time', of: (one) => one.created_at },
  ],
  note: 'Channel and provider filter by the messages that a run sent.',
  none: { text: 'No workflow has run yet. A run for each recipient appears here, with its steps.', command: 'bellcast trigger welcome alice' },
};

export function run(page) {
  const tenant = tenantOf(page);
  return detail(page, withQuery(path`/v1/runs/${page.key}`, tenant), (one) => [
    heading(`${one.workflow} for ${one.recipient}`, actions(page, one, tenant)),
    facts([['Id', id(one.id)], ['State', state(one.state)], ['Reason', one.reason], ['Recipient', recipientLink(page, one.recipient)], ['Tenant', one.tenant],
      ['Workflow', h('a', { href: inTenant(page, path`/workflows/${one.workflow}`) }, `${one.workflow}, version ${one.version}`)],
      ['Started', moment(one.created_at)], ['Ended', moment(one.ended_at)], one.wakes_at && ['Continues', moment(one.wakes_at)]].filter(Boolean)),
    card('Steps', waterfall(page, one, tenant)),
    card('Data', Object.keys(one.data).length === 0 ? empty('The trigger had no data.') : json(one.data)),
  ]);
}

function actions(page, one, tenant) {
  const url = withQuery(path`/v1/runs/${one.id}`, tenant);
  if (!ENDED.has(one.state)) {
    return page.may(BUILDERS) && confirmed('Cancel this run', 'Cancel', async () => {
      await request('DELETE', url);
      page.reload();
    });
  }
  return one.state === 'failed' && page.may(CONTENT) && confirmed('Retry this run from its failed step', 'Retry', async () => {
    await request('POST', withQuery(path`/v1/runs/${one.id}/retry`, tenant));
    page.reload();
  });
}

/** The steps, at most 50, as bars over time. Their definitions, with the inputs, are requested when one is opened. */
function waterfall(page, one, tenant) {
  const end = Date.parse(one.ended_at ?? '') || Date.now();
  const scale = scaleOf(one, end);
  const definition = once(() => get(withQuery(path`/v1/workflows/${one.workflow}`, { ...tenant, version: one.version }), page.signal));
  return h('ol', { class: 'waterfall' }, axis(scale), one.steps.map((step, index) => stepRow(page, step, { end, scale, definition, ready: readyAt(one, index) })));
}

/** When a step could have begun: at the end of the last one before it. */
const readyAt = (one, index) => Math.max(...[one.created_at, ...one.steps.slice(0, index).map((step) => step.ended_at)].filter(Boolean).map(Date.parse));

function once(read) {
  let result;
  return () => (result ??= read());
}

/** Positions of times, in percent. Times without an event that are the larger part of the run are folded to a fixed width. */
export function scaleOf(one, end) {
  const start = Date.parse(one.created_at);
  const times = one.steps.flatMap((step) => [step.started_at, step.ended_at]).filter(Boolean).map(Date.parse);
  const events = [...new Set([start, ...times, Math.max(end, start)])].sort((a, b) => a - b);
  const spans = events.slice(1).map((to, index) => ({ from: events[index], to, length: to - events[index] }));
  const total = spans.reduce((sum, span) => sum + span.length, 0);
  const isIdle = (span) => span.length >= FOLDED_MS && span.length > total / 4;
  const idle = spans.filter(isIdle);
  const busy = total - idle.reduce((sum, span) => sum + span.length, 0);
  // A run that only waited, apart from steps that took no time, is drawn to scale.
  const isActive = ({ from, to }) => one.steps.some((step) => step.started_at && Date.parse(step.started_at) <= from && (step.ended_at ? Date.parse(step.ended_at) : end) >= to);
  const folds = idle.length > 0 && spans.some((span) => !isIdle(span) && isActive(span));
  const room = 100 - (folds ? idle.length * FOLD_WIDTH : 0);
  let x = 0;
  for (const span of spans) {
    span.isFolded = folds && isIdle(span);
    span.x = x;
    span.width = span.isFolded ? FOLD_WIDTH : span.length / ((folds ? busy : total) || 1) * room;
    x += span.width;
  }
  const at = (moment) => {
    const span = spans.find(({ to }) => moment <= to);
    if (!span) return 100;
    return span.x + (span.length ? Math.max(moment - span.from, 0) / span.length : 0) * span.width;
  };
  return { at, spans, total };
}

function axis({ spans, total }) {
  const track = h('span', { class: 'track' }, spans.filter((span) => span.isFolded).map((span) => placed(h('span', { class: 'folded' }, duration(span.length)), span.x, span.width)));
  return h('li', { class: 'axis', 'aria-hidden': 'true' }, h('span', {}), track, h('span', { class: 'took' }, duration(total)));
}

/** The page's policy permits styles set by a script, but not in attributes. */
function placed(element, x, width) {
  element.style.left = `min(${x}%, 100% - ${MIN_WIDTH}px)`;
  element.style.width = `max(${width}%, ${MIN_WIDTH}px)`;
  return element;
}

/** A button that expands a part; `build` is called each time. Escape folds it. */
function disclosure(text, part, build) {
  const toggle = () => {
    part.hidden = !part.hidden;
    button.setAttribute('aria-expanded', String(!part.hidden));
    if (!part.hidden) build();
  };
  const button = h('button', { type: 'button', class: 'row-link', 'aria-expanded': 'false', onclick: toggle }, text);
  for (const one of [button, part]) {
    one.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || part.hidden) return;
      event.preventDefault();
      toggle();
      button.focus();
    });
  }
  return button;
}

function stepRow(page, step, { end, scale, definition, ready }) {
  const from = step.started_at && Date.parse(step.started_at);
  const to = step.ended_at ? Date.parse(step.ended_at) : end;
  const details = h('div', { class: 'details', hidden: true });
  const open = disclosure(step.key, details, () => details.hasChildNodes() || fill(details, stepDetails(page, step, definition)));
  const bar = from && placed(h('span', { class: `bar-of ${step.state}` }), scale.at(from), scale.at(to) - scale.at(from));
  const waited = from && from - ready >= FOLDED_MS ? from - ready : 0;
  const queue = waited > 0 && placed(h('span', { class: 'queue' }), scale.at(ready), scale.at(from) - scale.at(ready));
  const took = step.state === 'waiting' && step.due_at ? time(step.due_at) : from ? duration(to - from) : '–';
  return h('li', {}, h('span', { class: 'step' }, open, h('span', { class: 'tag' }, step.type), state(step.state)),
    h('span', { class: 'track', 'aria-hidden': 'true' }, queue, bar),
    h('span', { class: 'took' }, took, waited > 0 && h('small', {}, `after ${duration(waited)}`)), details);
}

function stepDetails(page, step, definition) {
  const input = h('div');
  definition().then(({ steps }) => fill(input, json(find(steps, step.key) ?? null)), (problem) => fill(input, h('p', { class: 'muted' }, problem.message)));
  return [
    facts([['Started', moment(step.started_at)], ['Ended', moment(step.ended_at)], step.due_at && ['Continues', moment(step.due_at)], step.attempts > 0 && ['Calls', step.attempts], ['Reason', step.reason],
      step.notification && ['Notification', h('a', { href: inTenant(page, path`/notifications/${step.notification}`) }, step.notification)],
      ...step.messages.map((message) => ['Message', h('a', { href: inTenant(page, path`/messages/${message}`) }, message)])].filter(Boolean)),
    h('h3', {}, 'Input'), input, h('h3', {}, 'Output'), step.result === null ? h('p', { class: 'muted' }, 'No output.') : json(step.result),
  ];
}

/** The definition of a step, also within branches. */
function find(steps, key) {
  for (const step of steps) {
    if (step.key === key) return step;
    const inner = find([...(step.branches ?? []).flatMap((branch) => branch.steps), ...(step.else ?? [])], key);
    if (inner) return inner;
  }
  return null;
}
