/**
 * A version of a workflow as it was, or a run on its own version, with the state of each step.
 */
import { html, useEffect, useState } from './html.js';
import { useLoad } from './load.js';
import { Icon, Opening, State } from './parts.js';
import { scopeOf } from './router.js';
import { explainRun } from './run-outcome.js';
import { shownOf } from './run-picture.js';
import { get, path as urlPath, withQuery } from './server.js';
import { Inspector } from './workflow-inspector.js';
import { Picture } from './workflow-picture.js';
import { valuesOf } from './yaml.js';

/** A run is read again after this time until it has ended. */
const FOLLOW_MS = 2000;
const ENDED = ['completed', 'cancelled', 'merged', 'throttled', 'failed'];

/** The run and what became of its messages, without which its steps are still shown. */
async function readRun(id, tenant, signal) {
  const run = await get(withQuery(urlPath`/v1/runs/${id}`, { tenant }), signal);
  return { ...run, why: await explainRun(run, { tenant }, signal) };
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
  return html`<${Opening} page=${page} of=${loaded}>${({ run, schema, version, values }) => {
    const recorded = { values: { value: values }, problems: { value: [] }, findings: { value: [] }, tenant };
    return html`<div class=${`workflow-editor ${selected ? 'inspecting' : ''}`}>
      <header class="editor-bar"><a class="quiet button" href=${run ? withQuery(page.url(`/runs/${id}`), scopeOf(page)) : withQuery(page.url(`/workflows/${encodeURIComponent(page.key)}`), scopeOf(page))} aria-label="Back"><${Icon} name="back" /></a><h1 tabIndex="-1">${page.key}</h1>
        <span class="save-state">Version ${version}${run && `, for ${run.recipient}`}</span>${run && html`<${State} of=${run.state} />`}
        <div class="editor-tools"><a class="button" href=${withQuery(page.path, { ...scopeOf(page), edit: 'yes' })}>Edit the workflow</a></div></header>
      <div class="editor-main"><${Picture} ...${{ values, schema, selected, ...(run && shownOf(run)), copy }} select=${setSelected} edit=${setSelected} />${selected && html`<${Inspector} key=${selected} draft=${recorded} path=${selected} schema=${schema} page=${page} isReadOnly=${true} close=${() => setSelected(null)} act=${{ edit: setSelected }} />`}</div></div>`;
  }}<//>`;
}
