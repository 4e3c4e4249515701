/**
 * Runs of workflows, and one as a waterfall of its steps with their inputs and outputs.
 */
import { html, useRef, useState } from './html.js';
import { CodeOf } from './code.js';
import { Confirm } from './dialogs.js';
import { withTimes } from './explain.js';
import { CHANNEL, PROVIDER, RANGE, RECIPIENT, WORKFLOW } from './filters.js';
import { dayName, dayTime, duration, hourOf } from './format.js';
import { histogramOf } from './histogram.js';
import { Loaded, loadStyle, useEvery, useLoad, useOpened } from './load.js';
import { teaser } from './object-parts.js';
import { CHANNEL_NAMES, SetUpProvider, failureOf, missingOf, simulatedText } from './outcomes.js';
import { Facts, Heading, Icon, Id, Moment, Opening, State, Tag, Time } from './parts.js';
import { Named, RECIPIENT_COLUMN, nameOf, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { inTenant, tenantOf } from './router.js';
import { explainRun, outcomeOfStep } from './run-outcome.js';
import { Segments } from './segments.js';
import { get, path, request, withQuery } from './server.js';
import { SENDING, summaryOf, typeOf } from './workflow-model.js';
import { Chain } from './workflows.js';
import { valuesOf } from './yaml.js';

await loadStyle('run.css');

const ENDED = new Set(['completed', 'cancelled', 'merged', 'throttled', 'failed']);
/** An interval without events is collapsed if it is at least this long, and if such intervals take nearly all of the run. */
const FOLDED_MS = 100;
/** The others take less than this part of the run. */
const FOLDED_REST = 1 / 20;
/** Steps that call a server or a function: the time that they take is not collapsed. */
const CALLING = new Set([...Object.keys(CHANNEL_NAMES), 'http', 'python'].filter((type) => type !== 'inbox'));
/** Width of a collapsed interval in percent, minimum width of a bar in px, and of its label in percent. */
const FOLD_WIDTH = 8;
const MIN_WIDTH = 24;
/** What steps do, as on the canvas. */
const STEP_NAMES = { ...CHANNEL_NAMES, inbox: 'Bell', delay: 'Wait', wait_for: 'Wait for event', branch: 'Branch', digest: 'Digest', throttle: 'Throttle', stop: 'Stop', trigger: 'Start workflow', http: 'HTTP request', python: 'Python function' };
const nameOfStep = ({ type }) => STEP_NAMES[type] ?? type;
/** The key of a step, unless it is the word of its type. */
const ownKeyOf = (step) => step.key !== nameOfStep(step).toLowerCase() && html`<code title=${step.key}>${step.key}</code>`;
const LABEL_WIDTH = 30;

/** At which step a run waits, and until when. */
function waitOf({ state, steps }) {
  const step = state === 'waiting' && steps.find((one) => one.state === 'waiting');
  const isTimed = step && Date.parse(step.due_at ?? '') > Date.now();
  return step && html`<${Tag}>${step.key}<//>${isTimed && ` until ${(dayName(step.due_at) === 'Today' ? hourOf : dayTime)(step.due_at)}`}`;
}

/** Why a run failed, in a few words. */
const reasonOf = ({ reason }) => {
  const [variable] = missingOf(reason) ?? [];
  return variable ? `${variable} is missing` : reason?.replace(/^[\w-]+: (\S+) is undefined$/, '$1 is missing');
};

export const runs = {
  histogram: histogramOf('runs', 'run'), path: '/v1/runs', rows: 'runs', readMore: readNames, link: (one) => path`/runs/${one.id}`, isNewestFirst: true, pinsOpened: true, isDense: true, single: ['recipient', 'trigger'],
  filters: [WORKFLOW, RECIPIENT, { name: 'trigger', label: 'Trigger', isHidden: true }, CHANNEL, PROVIDER, { name: 'state', label: 'State', options: ['running', 'waiting', 'throttled', 'paused', 'completed', 'failed', 'cancelled', 'merged'] },
    { name: 'step', label: 'Step', of: (one) => one.steps.map(({ key }) => key) }, { name: 'step_state', label: 'Step state', needs: 'step', options: ['done', 'waiting', 'skipped', 'failed', 'running', 'pending'], words: { pending: 'not reached' } }, RANGE],
  views: [['Failed', { state: 'failed' }], ['Waiting', { state: 'waiting' }]],
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, RECIPIENT_COLUMN, { name: 'Workflow', kind: 'title', width: 'minmax(8rem, 1fr)', of: (one) => one.workflow, text: (one) => reasonOf(one) || waitOf(one), isWrapped: (one) => one.state === 'failed' },
    { name: 'Steps', of: (one) => one.steps, show: (steps) => html`<${Chain} of=${steps} max=${4} />`, width: '7.25rem' }, { name: 'Duration', kind: 'number', isLabeled: false, of: (one) => one.ended_at && duration(Date.parse(one.ended_at) - Date.parse(one.created_at)), width: '5rem' },
    { name: 'Tenant', of: (one) => one.tenant, none: 'Default tenant' }, { name: 'Started', kind: 'time', of: (one) => one.created_at },
  ],
  note: html`Steps:<span class="chain"><span class="avatar tone-grey" data-state="skipped"></span></span>skipped by a condition,<span class="chain"><span class="avatar tone-grey" data-state="pending"></span></span>not reached. Channel and provider filter by the messages that a run sent.`,
  none: { text: 'No workflow runs yet. A run for each recipient appears here, with its steps.', command: 'bellcast trigger welcome alice' },
};

/** A run that is under way is read again after this time. */
const POLL_MS = 2000;
const isUnderway = ({ state, wakes_at: at }) => state === 'running' || (state === 'waiting' && Date.parse(at ?? '') <= Date.now());

/** Times of steps have no parts of a millisecond. */
const timeOf = (ms) => (ms === 0 ? '< 1 ms' : duration(ms));

/** The outcome of a run as a kind and a sentence. A completed run did not deliver messages that were refused or only simulated. */
function outcomeOf(one, outcomes) {
  const took = one.ended_at && timeOf(Date.parse(one.ended_at) - Date.parse(one.created_at));
  const waiting = one.steps.find(({ state }) => state === 'waiting'), failed = one.steps.find(({ state }) => state === 'failed');
  const refused = outcomes.filter(({ kind }) => kind === 'bad').length, simulated = outcomes.filter(({ word }) => word === 'simulated').length;
  if (one.state === 'completed' && refused > 0) return ['bad', `Completed in ${took}, but ${refused === 1 ? 'a message' : `${refused} messages`} did not arrive`];
  if (one.state === 'completed' && simulated > 0) return ['info', `Completed in ${took}, but ${simulated === 1 ? 'a message was' : `${simulated} messages were`} only simulated`];
  if (one.state === 'completed') return ['ok', `Completed in ${took}`];
  if (one.state === 'failed') return ['bad', failed ? html`Failed at <${Tag}>${failed.key}<//>` : 'Failed'];
  const left = Date.parse(one.wakes_at ?? '') - Date.now();
  if (one.state === 'waiting') return ['wait', html`Waiting${left > 0 ? `: ${duration(Math.max(1000, left))} left` : ''} ${waiting && html`<${Tag}>${waiting.key}<//>`}`];
  if (one.state === 'running') return ['wait', 'Runs now'];
  return ['info', `${one.state[0].toUpperCase()}${one.state.slice(1)}${took ? ` after ${took}` : ''}`];
}

/** A run: its outcome and what changes it, its steps over time, and the data of its trigger. */
export function Run({ page }) {
  const tenant = tenantOf(page), url = (more = '') => withQuery(path`/v1/runs/${page.key}` + more, tenant);
  // The definition of its version is read once, and may have been deleted.
  const defined = useRef({});
  const definitionIn = (one) => {
    const target = definitionOf(one, tenant);
    if (defined.current.target !== target) defined.current = { target, read: page.may(CONTENT) ? get(target).catch(() => null) : null };
    return defined.current.read;
  };
  const found = useLoad(async (signal) => {
    const one = await get(url(), signal);
    const [why, definition] = await Promise.all([explainRun(one, tenant, signal), definitionIn(one), readNames([one])]);
    return { ...one, why, definition };
  }, [url()]);
  const [view, setView] = useState('Steps');
  useOpened(found.value);
  useEvery(POLL_MS, () => found.value && isUnderway(found.value) && found.reload());
  const act = (method, more) => async () => {
    await request(method, url(more));
    page.reload();
  };
  return html`<${Opening} page=${page} of=${found}>${(one) => {
    const outcomes = one.steps.map((step) => outcomeOfStep(step, one));
    const [kind, headline] = outcomeOf(one, outcomes), simulated = Object.values(Object.groupBy(one.why.channels.filter(({ state }) => state === 'simulated'), ({ channel }) => channel)).map(([first]) => first);
    const mayCancel = page.may(BUILDERS) && !ENDED.has(one.state), mayRetry = page.may(CONTENT) && one.state === 'failed', mayCorrect = mayRetry && missingOf(one.reason);
    const variable = mayCorrect && mayCorrect[0].startsWith('data.') && mayCorrect[0];
    return html`<${Heading} title=${`${nameOf(one)} · ${one.workflow}`} />
      <section class=${`verdict ${kind}`} aria-label="Outcome"><${Icon} name=${kind} /><div><h2 dir="auto">${headline}</h2>${one.reason && html`<p class="text" dir="auto">${failureOf(one.reason)}</p>`}${one.state === 'waiting' && one.wakes_at && html`<p class="muted">Until <${Moment} at=${one.wakes_at} /></p>`}${variable && html`<p class="muted">A retry fails again until the text has a default for ${variable}: a run keeps its data. ${page.may(BUILDERS) && html`<a href=${withQuery(page.url(path`/workflows/${one.workflow}`), { ...tenant, to: one.recipient })}>Start again with other data</a>`}</p>`}
        ${simulated.map((sent) => html`<p key=${sent.channel}>${simulatedText(sent)}. It is stored here, and did not leave the server.</p>`)}
        ${(mayCancel || mayRetry || simulated.length > 0) && html`<div class="fixes">${mayCorrect && html`<${CorrectText} page=${page} one=${one} tenant=${tenant} />`}${page.may(BUILDERS) && simulated.filter(({ simulated: cause }) => cause === 'no_provider').map(({ channel }) => html`<${SetUpProvider} key=${channel} page=${page} channel=${channel} tenant=${tenant} />`)}${mayRetry && html`<${Confirm} isPrimary=${!mayCorrect} label="Retry this run from its failed step" word="Retry" about="Steps that were done are not repeated." act=${act('POST', '/retry')} />`}${mayCancel && html`<${Confirm} isDanger label="Cancel this run" word="Cancel this run" about="Its further steps send nothing. What was sent stays." act=${act('DELETE', '')} />`}</div>`}</div></section>
      <section class="panel run-view" aria-label=${view}><${Segments} label="View" options=${['Steps', page.may(CONTENT) && 'Canvas', 'Data'].filter(Boolean)} value=${view} choose=${setView} />${view === 'Canvas' && html`<a class="button small" href=${withQuery(page.url(path`/workflows/${one.workflow}`), { ...tenant, edit: 'yes', run: one.id })}>Open large</a>`}
        ${view === 'Steps' && html`<${Waterfall} page=${page} one=${one} outcomes=${outcomes} tenant=${tenant} />`}${view === 'Canvas' && html`<${OnCanvas} page=${page} one=${one} tenant=${tenant} />`}${view === 'Data' && html`<${AllData} page=${page} one=${one} />`}</section>
      <${Facts} of=${[['Recipient', html`<${Named} of=${one} href=${page.may(CONTENT) ? inTenant(page, path`/recipients/${one.recipient}`) : null} />`], ['Tenant', one.tenant],
    ['Workflow', html`<a href=${inTenant(page, path`/workflows/${one.workflow}`)}>${one.workflow}, version ${one.version}</a>`], ['Started', html`<${Moment} at=${one.created_at} />`], ['Ended', one.ended_at && html`<${Moment} at=${one.ended_at} />`], ['Id', html`<${Id} of=${one.id} />`]]} />`;
  }}<//>`;
}

/** The data of the trigger, and below it what each step that began got and made. */
const AllData = ({ page, one }) => html`${Object.keys(one.data).length === 0 ? html`<p class="muted">The trigger had no data.</p>` : html`<h3>Trigger</h3><${CodeOf} what="the data" of=${one.data} />`}
  ${one.definition && one.steps.filter(({ state }) => !['pending', 'skipped'].includes(state)).map((step) => html`<${OfStep} key=${step.key} page=${page} one=${one} step=${step} />`)}`;

/** What a step got and made, drawn once it is unfolded: 50 steps can have a great deal of it. */
function OfStep({ page, one, step }) {
  const [wasOpen, setOpen] = useState(false);
  return html`<details class="of-step" onToggle=${() => setOpen(true)}><summary>${nameOfStep(step)} ${ownKeyOf(step)}</summary>${wasOpen && html`<${StepDetails} page=${page} one=${one} step=${step} read=${async () => one.definition} />`}</details>`;
}

/** The run on its own version, of which the modules are loaded when they are needed. */
function OnCanvas({ page, one, tenant }) {
  const found = useLoad(async (signal) => {
    const [{ RunPicture }, schema, definition] = await Promise.all([import('./run-picture.js'), get('/v1/schemas/workflow', signal), get(definitionOf(one, tenant), signal)]);
    return { RunPicture, schema, definition };
  }, [one.id]);
  return html`<${Loaded} of=${found}>${({ RunPicture, schema, definition }) => html`<${RunPicture} run=${one} schema=${schema} values=${valuesOf(definition)} />`}<//>`;
}

/** A link to the text that the failed step could not render: its template, else the step. */
function CorrectText({ page, one, tenant }) {
  const definition = useLoad((signal) => get(definitionOf(one, tenant), signal), [one.id]);
  const { key, type } = one.steps.find(({ state }) => state === 'failed') ?? {}, template = definition.value && find(definition.value.steps, key)?.template;
  const link = (target, query) => withQuery(page.url(target), { ...tenant, edit: 'yes', step: key, ...query });
  if (!definition.value || !key) return null;
  return template ? html`<a class="button primary" href=${link(path`/templates/${template}`, { channel: type, workflow: one.workflow })}>Open the template</a>` : html`<a class="button primary" href=${link(path`/workflows/${one.workflow}`)}>Open the step</a>`;
}

const definitionOf = (one, tenant) => withQuery(path`/v1/workflows/${one.workflow}`, { ...tenant, version: one.version });

/** The steps, at most 50, as bars over time. */
function Waterfall({ page, one, outcomes, tenant }) {
  const end = Date.parse(one.ended_at ?? '') || Date.now();
  const { at, spans, total } = scaleOf(one, end);
  const read = async () => one.definition ?? get(definitionOf(one, tenant));
  /** When a step could have begun: at the end of the last one before it. */
  const readyAt = (index) => Math.max(...[one.created_at, ...one.steps.slice(0, index).map((step) => step.ended_at)].filter(Boolean).map(Date.parse));
  const folded = spans.filter((span) => span.isFolded), last = folded.at(-1);
  return html`<ol class=${total > 0 ? 'waterfall' : 'waterfall instant'}>${total > 0 && html`<li class="axis" aria-hidden="true"><span></span><span class="track"><span class="from">${!(folded[0]?.x < LABEL_WIDTH) && '0'}</span><span class="to">${!(last?.x + last?.width > 100 - LABEL_WIDTH) && duration(total)}</span>${folded.map((span, index) => html`<span class="folded" style=${placed(span.x, span.width)} title=${duration(span.length)}>${!(span.x - folded[index - 1]?.x < LABEL_WIDTH) && duration(span.length)}</span>`)}</span><span></span></li>`}
    ${one.steps.map((step, index) => html`<${Step} key=${step.key} page=${page} one=${one} step=${step} does=${one.definition && summaryOf(find(one.definition.steps, step.key))} outcome=${outcomes[index]} why=${hasRepair(step, outcomes[index]) && page.may(CONTENT) && withQuery(page.url(path`/recipients/${one.recipient}`), { ...tenant, run: one.id })} end=${end} at=${at} ready=${readyAt(index)} read=${read} />`)}</ol>`;
}

/** The page of the recipient explains what stopped a message, unless the workflow did. */
const hasRepair = ({ type, reason }, { word, kind }) => SENDING.includes(type) && kind !== 'ok' && ['skipped', 'failed', 'bounced', 'suppressed'].includes(word) && !/^(condition$|branch$|ended: )/.test(reason ?? '');

/** A step without a duration is a dot, the middle of which is its time. */
const dotted = (x) => ({ left: `clamp(0px, ${x}% - 6px, 100% - 12px)`, width: '12px' });
/** Bars that are shorter, in percent, are dots too. */
const SHORT = 4;
const placed = (x, width) => ({ left: `min(${x}%, 100% - ${MIN_WIDTH}px)`, width: `max(${width}%, ${MIN_WIDTH}px)` });

function Step({ page, one, step, does, outcome, why, end, at, ready, read }) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef(null);
  const from = step.started_at && Date.parse(step.started_at), to = step.ended_at ? Date.parse(step.ended_at) : end;
  const due = step.state === 'waiting' ? Date.parse(step.due_at ?? '') : 0;
  const isMoment = !(to > from) || (step.ended_at && at(to) - at(from) < SHORT);
  const waited = from && from - ready >= FOLDED_MS ? from - ready : 0;
  const escape = (event) => {
    if (event.key !== 'Escape' || !isOpen) return;
    event.preventDefault();
    setOpen(false);
    button.current.focus();
  };
  return html`<li onKeyDown=${escape}><span class="step"><span class=${`avatar tone-${typeOf(step).tone}`} title=${step.type}><${Icon} name=${typeOf(step).icon} /></span><button type="button" class="row-link" ref=${button} aria-expanded=${String(isOpen)} onClick=${() => setOpen(!isOpen)}>${nameOfStep(step)}</button>${ownKeyOf(step)}${does && html`<small title=${does}>${teaser(does.replaceAll('data.', ''))}</small>`}</span>
    <span class="track" aria-hidden="true">${waited > 0 && html`<span class="queue" style=${placed(at(ready), at(from) - at(ready))}></span>`}${from && step.state !== 'skipped' && html`<span class=${`${step.state} ${outcome.kind}${isMoment ? ' moment' : ''}`} style=${isMoment ? dotted(at(from)) : placed(at(from), at(to) - at(from))}></span>`}${due > to && html`<span class="ahead" style=${{ left: `max(${at(to)}%, ${MIN_WIDTH}px)`, right: `${100 - at(due)}%` }}></span>`}</span>
    <span class="outcome"><${State} of=${outcome.word} kind=${outcome.kind} />${from && step.state !== 'skipped' && html`<span class="took">${step.state === 'waiting' && step.due_at ? html`ends <${Time} at=${step.due_at} />` : timeOf(to - from)}${waited > 0 && html`<small>after ${duration(waited)}</small>`}</span>`}</span>
    ${outcome.text && html`<span class="why" dir="auto">${outcome.text}${why && html` <a href=${why}>Why, and repair</a>`}</span>`}
    ${isOpen && html`<${StepDetails} page=${page} one=${one} step=${step} read=${read} />`}</li>`;
}

/** When a step ran, its definition as its input, and its result; a step that sends has none, but something to say. */
function StepDetails({ page, one, step, read }) {
  const definition = useLoad(read, []), sent = one.why.channels.find(({ channel, outcome }) => channel === step.type && outcome === 'send')?.text, isLinked = step.notification || step.messages.length > 0;
  const link = (list, id) => html`<a href=${inTenant(page, `/${list}/${encodeURIComponent(id)}`)}>${id}</a>`;
  return html`<div class="details"><${Facts} of=${[['Started', step.started_at && html`<${Moment} at=${step.started_at} />`], ['Ended', step.ended_at && html`<${Moment} at=${step.ended_at} />`], ['Continues', step.due_at && html`<${Moment} at=${step.due_at} />`], ['Calls', step.attempts > 0 && step.attempts],
    ['Notification', step.notification && link('notifications', step.notification)], ...step.messages.map((message) => ['Message', link('messages', message)])]} />
    <h3>Input</h3>${definition.problem ? html`<p class="muted">${definition.problem.message}</p>` : definition.value && html`<${CodeOf} what="the input" of=${find(definition.value.steps, step.key)} />`}
    ${(step.result !== null || sent || !isLinked) && html`<h3>Output</h3>`}${step.result !== null ? html`<${CodeOf} what="the output" of=${step.result} />` : sent ? html`<p class="muted">${withTimes(sent)}</p>` : !isLinked && html`<p class="muted">No output.</p>`}</div>`;
}

/** Positions of times, in percent, until `end` or the planned end of a step that waits. Times without an event that are nearly all of the run are folded to a fixed width. */
export function scaleOf(one, end) {
  const start = Date.parse(one.created_at);
  const times = one.steps.flatMap((step) => [step.started_at, step.ended_at, step.state === 'waiting' && step.due_at]).filter(Boolean).map(Date.parse);
  const events = [...new Set([start, ...times, Math.max(end, start)])].sort((a, b) => a - b);
  const spans = events.slice(1).map((to, index) => ({ from: events[index], to, length: to - events[index] }));
  const total = spans.reduce((sum, span) => sum + span.length, 0);
  const covers = (step, { from, to }) => step.started_at && Date.parse(step.started_at) <= from && (step.ended_at ? Date.parse(step.ended_at) : end) >= to;
  const isIdle = (span) => span.from < end && span.length >= FOLDED_MS && span.length > total / 4 && !one.steps.some((step) => CALLING.has(step.type) && step.state !== 'waiting' && covers(step, span));
  const idle = spans.filter(isIdle);
  const busy = total - idle.reduce((sum, span) => sum + span.length, 0);
  // A run that only waited, apart from steps that took no time, is drawn to scale.
  const isActive = (span) => one.steps.some((step) => covers(step, span));
  const folds = idle.length > 0 && busy < total * FOLDED_REST && spans.some((span) => !isIdle(span) && isActive(span));
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

/** The definition of a step, also within branches. */
function find(steps, key) {
  for (const step of steps) {
    if (step.key === key) return step;
    const inner = find([...(step.branches ?? []).flatMap((branch) => branch.steps), ...(step.else ?? [])], key);
    if (inner) return inner;
  }
  return null;
}
