/**
 * A version of a workflow as it was, or a run on its own version, with the state of each step.
 */
import { html, useEffect, useState } from './html.js';
import { dayTime, duration } from './format.js';
import { Loaded, Skeleton, useLoad } from './load.js';
import { Icon, State } from './parts.js';
import { explainRun, outcomeOfStep } from './run-outcome.js';
import { get, path as urlPath, withQuery } from './server.js';
import { Inspector } from './workflow-inspector.js';
import { Picture } from './workflow-picture.js';
import { valuesOf } from './yaml.js';

/** A run is read again after this time until it has ended. */
const FOLLOW_MS = 2000;
const ENDED = ['completed', 'cancelled', 'merged', 'throttled', 'failed'];
const KIND_OF_STATE = { failed: 'bad', waiting: 'wait', running: 'wait' };

/** The run and what became of its messages, without which its steps are still shown. */
async function readRun(id, tenant, signal) {
  const run = await get(withQuery(urlPath`/v1/runs/${id}`, { tenant }), signal);
  return { ...run, why: await explainRun(run, { tenant }, signal) };
}

/** What a step of a run shows. */
function stateOf(step, why) {
  const { state, due_at: due, started_at: started, ended_at: ended, attempts } = step;
  const seconds = started && ended ? (new Date(ended) - new Date(started)) / 1000 : 0;
  const { word, kind, text } = outcomeOfStep(step, why);
  const first = word[0].toUpperCase() + word.slice(1);
  const words = { done: seconds >= 1 ? `Done after ${duration(seconds * 1000)}` : first, waiting: due ? `Waits until ${dayTime(due)}` : 'Waits', running: 'Runs now', pending: 'Not reached yet' };
  const shown = `${text && word === 'simulated' ? text : `${words[state] ?? first}${text ? `: ${text}` : ''}`}${attempts > 1 ? `, ${attempts} attempts` : ''}`;
  return { state, kind: state === 'done' ? kind : KIND_OF_STATE[state] ?? 'info', shown, text: shown };
}

/** A version as it was, or a run on its own version, with the state of each step. Nothing can be changed. */
export function Recorded({ page, tenant, copy }) {
  const id = page.query.get('run');
  const [selected, setSelected] = useState(null);
  const loaded = useLoad(async (signal) => {
    const run = id && await readRun(id, tenant, signal);
    const version = run ? run.version : page.query.get('version');
    const [schema, one] = await Promise.all([get('/v1/schemas/workflow', signal), get(withQuery(urlPath`/v1/workflows/${page.key}`, { tenant, version }), signal)]);
    return { run, schema, version, values: valuesOf(one) };
  }, [page.key, tenant, id, page.query.get('version')]);
  const isOpen = loaded.value?.run && !ENDED.includes(loaded.value.run.state);
  useEffect(() => {
    if (!isOpen) return undefined;
    const timer = setInterval(loaded.reload, FOLLOW_MS);
    return () => clearInterval(timer);
  }, [isOpen]);
  return html`<${Loaded} of=${loaded} skeleton=${html`<${Skeleton} rows="9" />`}>${({ run, schema, version, values }) => {
    const states = run && new Map(run.steps.map((one) => [one.key, stateOf(one, run.why)]));
    const lane = (key, { isElse, number }) => {
      const step = run?.steps.find((one) => one.key === key);
      if (step?.state !== 'done') return step?.state;
      return (isElse ? step.result === 'else' : step.result === number - 1) ? 'taken' : 'skipped';
    };
    const recorded = { values: { value: values }, problems: { value: [] }, findings: { value: [] }, tenant };
    return html`<div class=${`workflow-editor ${selected ? 'inspecting' : ''}`}>
      <header class="editor-bar"><a class="quiet button" href=${run ? withQuery(page.url(`/runs/${id}`), { tenant }) : withQuery(page.url(`/workflows/${encodeURIComponent(page.key)}`), { tenant })} aria-label="Back"><${Icon} name="back" /></a><h1 tabIndex="-1">${page.key}</h1>
        <span class="save-state">Version ${version}${run && `, for ${run.recipient}`}</span>${run && html`<${State} of=${run.state} />`}
        <div class="editor-tools"><a class="button" href=${withQuery(page.path, { tenant, edit: 'yes' })}>Edit the workflow</a></div></header>
      <div class="editor-main"><${Picture} ...${{ values, schema, selected, states, lane: run ? lane : undefined, copy }} select=${setSelected} edit=${setSelected} />${selected && html`<${Inspector} key=${selected} draft=${recorded} path=${selected} schema=${schema} page=${page} isReadOnly=${true} close=${() => setSelected(null)} act=${{ edit: setSelected }} />`}</div></div>`;
  }}<//>`;
}
