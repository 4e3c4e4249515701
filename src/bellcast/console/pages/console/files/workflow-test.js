/**
 * The test of a workflow in its editor: what a run would do for a recipient, as the server simulates it. The path lights up on the canvas.
 */
import { html, signal, useEffect, useId, useLayoutEffect, useRef, useState } from './html.js';
import { count, duration } from './format.js';
import { Failure, loadStyle } from './load.js';
import { failureOf } from './outcomes.js';
import { Icon, State } from './parts.js';
import { Picker } from './picker.js';
import { RecipientChoice, SampleChoice } from './sample-choice.js';
import { nameOf } from './recipient-names.js';
import { dataOf } from './sample-data.js';
import { Segments } from './segments.js';
import { ROOT, get, path as urlPath, request, withQuery } from './server.js';
import { SENDING, conditionText, stepsOf, typeOf } from './workflow-model.js';

await loadStyle('workflow-test.css');

/** Recipients of one test: the limit of the server. */
const MAX_RECIPIENTS = 10;
const EVENTS = { inbox: [['seen', 'is seen'], ['read', 'is read'], ['archived', 'is archived'], ['acted', 'is acted on']], message: [['delivered', 'is delivered'], ['bounced', 'bounces'], ['failed', 'fails']] };
const KINDS = { done: 'ok', failed: 'bad', waiting: 'wait', skipped: 'info' };

/** What a test assumes; `data` is null until it is written: an example. */
/** Whom a server without recipients can test with. */
const EXAMPLE = { key: 'example recipient', email: 'example@example.com', phone: '+12025550123' };
const OFFERED = { key: EXAMPLE.key, name: EXAMPLE.key };
const EMPTY = { to: [], data: null, at: '', events: [], results: {}, digest: {}, throttled: {} };

/** The test of a draft: its assumptions, and the last simulation with what was simulated. */
export function createTest({ draft, key, tenant }) {
  const form = signal(EMPTY);
  const found = signal(null);
  const problem = signal(null);
  const isRunning = signal(false);
  const shown = signal(0);
  const url = (more) => withQuery(urlPath`/v1/workflows/${key}/simulate`, { tenant, ...more });
  const run = async () => {
    problem.value = null;
    isRunning.value = true;
    try {
      const values = draft.values.value;
      const body = bodyOf(form.value, values);
      const answer = await request('POST', url({}), body);
      shown.value = 0;
      found.value = { ...answer, values, body };
    } catch (failed) {
      problem.value = failed;
    }
    isRunning.value = false;
  };
  const change = (changes) => { form.value = { ...form.value, ...changes }; };
  return { draft, key, tenant, form, found, problem, isRunning, shown, isOpen: signal(false), url, run, change };
}

/** The request of a simulation. Throws an error that says what is missing. */
function bodyOf({ to, data, at, events, results, digest, throttled }, values) {
  if (to.length === 0) throw new Error('Name at least one recipient.');
  const keys = new Set(stepsOf(values).map(({ step }) => step.key));
  const known = (all) => Object.entries(all).filter(([step]) => keys.has(step));
  const shown = data === null ? dataOf(values) : parse('The data', data);
  return {
    to: to.map((one) => (one === EXAMPLE.key ? EXAMPLE : one)), values, data: shown,
    ...(at && { at: new Date(at).toISOString() }),
    events: events.filter(({ step }) => !step || keys.has(step)).map(({ text, ...one }) => ({ ...one, after: one.after || '0', ...(one.name && text && { data: parse(`The data of ${one.name}`, text) }) })),
    results: Object.fromEntries(known(results).filter(([, text]) => text.trim()).map(([step, text]) => [step, parse(`The result of ${step}`, text)])),
    digest: Object.fromEntries(known(digest).filter(([, number]) => number > 0).map(([step, number]) => [step, Array.from({ length: number }, () => shown)])),
    throttled: Object.fromEntries(known(throttled).filter(([, number]) => number > 0)),
  };
}

function parse(name, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${name} must be JSON.`);
  }
}

// --- what the canvas shows

/** The last simulation, unless the definition has changed since. */
export function currentOf(test) {
  const found = test.found.value;
  return test.isOpen.value && found && JSON.stringify(found.values) === JSON.stringify(test.draft.values.value) ? found : null;
}

/** The states of the steps and branches on the canvas; undefined without a current simulation. */
export function statesOf(test) {
  const run = currentOf(test)?.recipients[test.shown.value];
  if (!run) return undefined;
  const byKey = new Map(run.path.map((one) => [one.step, one]));
  const states = new Map();
  for (const { step } of stepsOf(test.draft.values.value)) {
    const one = isTaken(byKey.get(step.key)) ? byKey.get(step.key) : undefined;
    const state = one?.state ?? 'pending';
    const kind = state === 'done' && one.decision?.outcome === 'hold' ? 'wait' : KINDS[state] ?? 'info';
    const words = one ? shortOf(one, run.timezone) : '';
    states.set(step.key, { state, kind, shown: words, text: words || 'not reached' });
  }
  const lane = (key, { isElse, number }) => {
    const one = byKey.get(key);
    if (one?.state !== 'done') return one?.state ?? 'pending';
    return (isElse ? one.branch === 'else' : one.branch === number - 1) ? 'taken' : 'skipped';
  };
  return { states, lane };
}

/** Whether the run came to a step; false for those of a branch that was not chosen. */
const isTaken = (one) => one !== undefined && !(one.state === 'skipped' && one.reason === 'branch');

const REASONS = { condition: 'its condition does not hold', muted: 'muted', no_address: 'no address', invalid_address: 'unusable address', suppressed: 'suppressed address', channel: 'channel off', type: 'type off', workflow: 'workflow off' };
const ENDS = { completed: 'Completed', failed: 'Failed', merged: 'Joined the digest of another run', throttled: 'Stopped by a throttle', waiting: 'Still waiting', running: 'Not finished' };

/** How a run ends, and how many of its messages would be sent, unless all would. */
function endOf({ state, path }) {
  const sending = path.filter((one) => isTaken(one) && SENDING.includes(one.type));
  const sent = sending.filter((one) => one.state === 'done').length;
  if (state === 'completed' && sent < sending.length) return ['info', `Completed: ${sent} sent, ${sending.length - sent} not sent`];
  return [{ completed: 'ok', failed: 'bad' }[state] ?? 'wait', ENDS[state] ?? state];
}

/** What a step does, in a few words. */
function shortOf({ type, state, reason, decision, branch, assumed, at, until }, zone) {
  if (state === 'skipped') return `Skipped: ${REASONS[reason] ?? reason}`;
  if (state === 'failed') return 'Fails';
  if (state === 'waiting') return until ? `Waits until ${inZone(until, zone)}` : 'Waits';
  if (decision?.outcome === 'hold') return `Held until ${inZone(decision.at, zone)}`;
  if (decision) return `Sent ${inZone(at, zone)}`;
  if (branch !== null && branch !== undefined) return branch === 'else' ? 'Else' : `Branch ${branch + 1}`;
  if (assumed) return 'Not called: empty result';
  const waited = until ? duration(new Date(until) - new Date(at)) : null;
  if (type === 'wait_for') return `${reason === 'matched' ? 'Happened' : 'Timed out'}${waited ? ` after ${waited}` : ''}`;
  return waited ? `${type === 'digest' ? 'Collected for' : 'Waited'} ${waited}` : 'Done';
}

const inZone = (at, timeZone, more = {}) => new Intl.DateTimeFormat('en-GB', { timeZone, weekday: 'short', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23', ...more }).format(new Date(at));

/** A time in the zone of the recipient, and in UTC. */
const Both = ({ at, zone }) => html`<time dateTime=${at}>${inZone(at, zone)}</time>${zone !== 'UTC' && html`<span class="muted"> · ${inZone(at, 'UTC', { weekday: undefined, day: undefined, month: undefined })} UTC</span>`}`;

// --- the panel

/** The panel beside the canvas. @param {{test: any, schema: any, select: (path: string) => void, selected: string | null, close: () => void}} of */
export function TestPanel({ test, schema, select, selected, close }) {
  const panel = useRef(null);
  const result = useRef(null);
  const { form, found, problem, isRunning } = test;
  const values = test.draft.values.value;
  const current = currentOf(test);
  useLayoutEffect(() => { panel.current.querySelector('input')?.focus(); }, []);
  useEffect(() => { if (found.value) result.current?.scrollIntoView({ block: 'start' }); }, [found.value]);
  const submit = (event) => {
    event.preventDefault();
    test.run();
  };
  const run = current?.recipients[test.shown.value];
  const announced = isRunning.value ? 'Simulating' : run ? `${endOf(run)[1]}, ${count(run.path.filter(isTaken).length, 'step')}` : '';
  return html`<aside class="inspector test-panel" aria-label="Test" ref=${panel} onKeyDown=${(event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    event.preventDefault();
    close();
  }}>
    <header><span class="step-icon tone-6"><${Icon} name="playground" /></span><h2>Test<small class="muted">Nothing is sent, stored or counted</small></h2><button type="button" class="quiet" aria-label="Close the test" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="inspector-fields">
      <form class="test-form" id="test-form" onSubmit=${submit}>
        <${Recipients} test=${test} />
        <${Data} test=${test} values=${values} />
        <${Assumptions} test=${test} values=${values} />
        ${problem.value && (problem.value.requestId ? html`<${Failure} problem=${problem.value} />` : html`<p class="error" role="alert">${problem.value.message}</p>`)}
      </form>
      <p class="hidden" role="status">${announced}</p>
      ${found.value && !current && html`<p class="test-note" role="note">The workflow has changed since the last test.</p>`}
      ${current && html`<section class="test-result" aria-label="Result" ref=${result}><${Result} test=${test} found=${current} schema=${schema} select=${select} selected=${selected} /></section>`}
    </div>
    <footer class="test-foot"><button type="submit" form="test-form" class="primary" disabled=${isRunning.value} aria-busy=${String(isRunning.value)}>${found.value ? 'Run again' : 'Run the test'}</button></footer></aside>`;
}

/** The recipients by name. Some are offered while none is chosen. */
function Recipients({ test }) {
  const id = useId(), { to } = test.form.value;
  const [problem, setProblem] = useState('');
  return html`<div class="form-field"><div class="form-label"><label for=${id}>Recipients</label>${to.length >= MAX_RECIPIENTS && html`<small class="muted">at most ${MAX_RECIPIENTS}</small>`}</div>
    <${Picker} kind="recipient" isMany max=${MAX_RECIPIENTS} required chosen=${to} tenant=${test.tenant} more=${[OFFERED]} change=${(keys) => test.change({ to: keys })} onProblem=${setProblem} attributes=${{ id, 'aria-describedby': problem ? `${id}-problem` : null }} />
    ${problem && html`<small class="error" id=${`${id}-problem`} role="alert">${problem}</small>`}
    ${to.length === 0 && html`<${RecipientChoice} tenant=${test.tenant} more=${[OFFERED]} choose=${(key) => test.change({ to: [key] })} />`}</div>`;
}

/** The data of the trigger: an example, that of a recent trigger, or written. */
function Data({ test, values }) {
  const id = useId();
  const { data } = test.form.value;
  const text = data ?? JSON.stringify(dataOf(values), null, 2);
  const rows = Math.min(10, Math.max(3, text.split('\n').length));
  return html`<div class="form-field"><div class="form-label"><label for=${id}>Data</label>
    <${SampleChoice} workflow=${test.key} tenant=${test.tenant} change=${(chosen) => test.change({ data: chosen && JSON.stringify(chosen, null, 2) })} /></div>
    <textarea id=${id} class="code" rows=${rows} spellcheck=${false} value=${text} onInput=${(event) => test.change({ data: event.currentTarget.value })}></textarea></div>`;
}

/** The events that can happen while a run waits. */
function eventsOf(values) {
  return stepsOf(values).flatMap(({ step }) => {
    if (SENDING.includes(step.type)) return (EVENTS[step.type] ?? EVENTS.message).map(([event, words]) => ({ id: `${step.key} ${event}`, step: step.key, event, words: `${step.key} ${words}` }));
    return step.type === 'wait_for' && !step.step && step.event ? [{ id: ` ${step.event}`, name: step.event, words: `live event ${step.event}` }] : [];
  });
}

/** The event that a workflow waits for first, so that it is the one that is offered. */
function firstEvent(values, options) {
  const wait = stepsOf(values).find(({ step }) => step.type === 'wait_for')?.step;
  return options.find((one) => wait && (wait.step ? one.step === wait.step && one.event === wait.event : one.name === wait.event)) ?? options[0];
}

/** When the run starts, and what happens meanwhile. */
function Assumptions({ test, values }) {
  const { at, events, results, digest, throttled } = test.form.value;
  const options = eventsOf(values);
  const ofType = (...types) => stepsOf(values).map(({ step }) => step).filter(({ type }) => types.includes(type));
  const put = (index, changes) => test.change({ events: events.map((one, place) => (place === index ? { ...one, ...changes } : one)) });
  const choose = (index, id) => {
    const { step, event, name } = options.find((one) => one.id === id);
    put(index, { step, event, name });
  };
  const add = () => {
    const { step, event, name } = firstEvent(values, options);
    test.change({ events: [...events, { step, event, name, after: '10m', text: '' }] });
  };
  const many = (name, of, step, label) => html`<div class="form-field test-number" key=${step.key}><label for=${`test-${name}-${step.key}`}>${label} <code>${step.key}</code></label><input id=${`test-${name}-${step.key}`} type="number" min="0" max="100" value=${of[step.key] ?? 0} onInput=${(event) => test.change({ [name]: { ...of, [step.key]: Number(event.currentTarget.value) } })} /></div>`;
  return html`<details class="test-more"><summary>Time and events${events.length > 0 && html` <span class="tag">${events.length}</span>`}</summary><div class="test-form">
    <div class="form-field"><label for="test-at">Start</label><input id="test-at" type="datetime-local" value=${at} onInput=${(event) => test.change({ at: event.currentTarget.value })} /><small class="muted">Empty: now. In the time zone of this browser.</small></div>
    ${events.map((one, index) => html`<fieldset key=${index} class="test-event"><legend class="hidden">Event ${index + 1}</legend>
      <select aria-label="What happens" value=${`${one.step ?? ''} ${one.event ?? one.name}`} onChange=${(event) => choose(index, event.currentTarget.value)}>${options.map(({ id, words }) => html`<option key=${id} value=${id}>${words}</option>`)}</select>
      <label>after <input aria-label=${one.step ? `Time after ${one.step} was sent` : 'Time after the trigger'} value=${one.after} onInput=${(event) => put(index, { after: event.currentTarget.value })} /></label>
      <button type="button" class="quiet" aria-label=${`Remove event ${index + 1}`} onClick=${() => test.change({ events: events.filter((_, place) => place !== index) })}><${Icon} name="close" /></button>
      ${one.name && html`<textarea class="code" rows="2" spellcheck=${false} aria-label=${`Data of ${one.name}`} placeholder="{}" value=${one.text} onInput=${(event) => put(index, { text: event.currentTarget.value })}></textarea>`}</fieldset>`)}
    ${options.length > 0 && html`<button type="button" class="add-condition" onClick=${add}><${Icon} name="plus" /> Add an event</button>`}
    ${ofType('http', 'python').map((step) => html`<div class="form-field" key=${step.key}><label for=${`test-result-${step.key}`}>Result of <code>${step.key}</code></label><textarea id=${`test-result-${step.key}`} class="code" rows="2" spellcheck=${false} placeholder="{}" value=${results[step.key] ?? ''} onInput=${(event) => test.change({ results: { ...results, [step.key]: event.currentTarget.value } })}></textarea><small class="muted">It is not called.</small></div>`)}
    ${ofType('digest').map((step) => many('digest', digest, step, 'Other runs in'))}
    ${ofType('throttle').map((step) => many('throttled', throttled, step, 'Earlier runs through'))}</div></details>`;
}

// --- the result

function Result({ test, found, schema, select, selected }) {
  const { recipients, truncated } = found;
  const index = Math.min(test.shown.value, recipients.length - 1), called = ({ recipient }) => nameOf({ tenant: test.tenant, recipient });
  const run = recipients[index];
  const path = run?.path.filter(isTaken) ?? [];
  const keys = new Set(path.map((one) => one.step));
  const [kind, end] = run ? endOf(run) : [];
  const left = stepsOf(found.values).map(({ step }) => step.key).filter((key) => !keys.has(key));
  const paths = new Map(stepsOf(found.values).map(({ step, path }) => [step.key, path]));
  return html`
    ${recipients.length > 1 && html`<div class="test-tabs" role="group" aria-label="Recipient">${recipients.map((one, place) => html`<button key=${one.recipient} type="button" aria-pressed=${String(place === index)} onClick=${() => { test.shown.value = place; }}><${State} of=${one.state} /><span dir="auto" title=${one.recipient}>${called(one)}</span></button>`)}</div>`}
    ${truncated && html`<p class="test-note" role="note"><${Icon} name="failures" /> The simulation reached a limit: 366 days, 2 seconds of computing, or 1 MiB. The rest is not shown.</p>`}
    ${run && html`<div class="test-end"><${State} of=${run.state} kind=${kind} /><p><b>${end}</b>${run.ends_at && html` <${Both} at=${run.ends_at} zone=${run.timezone} />`}<small class="muted" title=${run.recipient}>${called(run)}, ${run.timezone}</small></p></div>
      ${run.state === 'failed' && run.reason && html`<p class="error">${failureOf(run.reason)}</p>`}
      <ol class="test-path" aria-label="Path">${path.map((one) => html`<${Reached} key=${one.step} one=${one} run=${run} index=${index} test=${test} found=${found} label=${schema.$defs?.[one.type]?.title ?? one.type} isSelected=${selected === paths.get(one.step)} select=${() => select(paths.get(one.step))} />`)}</ol>
      ${left.length > 0 && html`<p class="muted test-left">Not reached: ${left.join(', ')}</p>`}`}`;
}

/** A step of the path. */
function Reached({ one, run, index, test, found, label, isSelected, select }) {
  const type = typeOf(one);
  const start = new Date(run.path[0].at);
  const after = new Date(one.at) - start;
  return html`<li data-step=${one.step} data-state=${one.state} class=${isSelected ? 'selected' : null}>
    <button type="button" class="test-step" aria-description="Shows the step on the canvas" onClick=${select}><span class=${`step-icon tone-${type.tone}`}><${Icon} name=${type.icon} /></span><span><b>${one.step}</b> <span class="muted">${label}</span></span></button>
    <p class="test-when"><${Both} at=${one.at} zone=${run.timezone} />${after > 0 && html`<span class="muted"> · +${duration(after)}</span>`}</p>
    <p class=${`test-short ${one.state === 'failed' ? 'error' : ''}`} dir="auto">${one.decision?.text ?? (one.state === 'failed' ? failureOf(one.reason) : shortOf(one, run.timezone))}</p>
    ${one.conditions.map((each, place) => html`<p key=${place} class="test-condition" data-result=${String(each.result)}><${Icon} name=${each.result ? 'ok' : 'close'} /> <span>${conditionText(each.if, false)}<span class="muted">${Object.entries(each.values).map(([name, value]) => html` <code key=${name}>${name} = ${JSON.stringify(value)}</code>`)}</span></span></p>`)}
    ${one.missing.length > 0 && html`<p class="test-note"><${Icon} name="failures" /> Without a value: ${one.missing.join(', ')}</p>`}
    ${one.content && html`<${Content} one=${one} index=${index} test=${test} found=${found} />`}</li>`;
}

/** The color schemes of an e-mail. */
const SCHEMES = [['light', 'Light'], ['dark', 'Dark']];

/** What the recipient gets. The HTML of an e-mail is shown on demand, in a frame without scripts. */
function Content({ one, index, test, found }) {
  const [isOpen, setOpen] = useState(false);
  const [scheme, setScheme] = useState('light');
  const form = useRef(null);
  const name = useId();
  const { title, subject, body, text, html: hasHtml } = one.content;
  useEffect(() => { if (isOpen) form.current.submit(); }, [isOpen, found, scheme]);
  return html`<div class="test-content"><b dir="auto">${subject ?? title}</b>${(body ?? text) && !isOpen && html`<p dir="auto">${body ?? text}</p>`}
    ${hasHtml && html`<button type="button" class="quiet test-show" aria-expanded=${String(isOpen)} onClick=${() => setOpen(!isOpen)}>${isOpen ? 'Hide the e-mail' : 'Show the e-mail'}</button>`}
    ${isOpen && html`<${Segments} label="Color scheme" options=${SCHEMES} value=${scheme} choose=${setScheme} /><iframe sandbox="" class=${scheme} title=${`E-mail of ${one.step}`} name=${name}></iframe>
      <form method="post" action=${`${ROOT}${test.url({ html: `${index}.${one.step}`, scheme })}`} target=${name} hidden ref=${form}><input type="hidden" name="request" value=${JSON.stringify(found.body)} /></form>`}</div>`;
}
