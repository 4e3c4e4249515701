/**
 * A workflow: its flow with what its runs did, the versions with their differences, and triggers.
 */
import { Delete, Yaml, readObject } from './definition.js';
import { Confirm } from './dialogs.js';
import { Drawer } from './drawer.js';
import { EditLink } from './edit.js';
import { Field, Form } from './form.js';
import { number, parsed } from './format.js';
import { html, useEffect, useRef, useState } from './html.js';
import { Loaded, Together, refresh, useLoad } from './load.js';
import { IN_CODE, ManagedBanner, isLocked } from './managed.js';
import { More } from './object-parts.js';
import { CHANNEL_NAMES, failureOf, outcomeOf } from './outcomes.js';
import { Card, Heading, Moment, Opening, Snippet, State, Type } from './parts.js';
import { PickerField } from './picker.js';
import { BUILDERS, CONTENT } from './roles.js';
import { go, scopeOf, tenantOf } from './router.js';
import { RecipientChoice, SampleChoice } from './sample-choice.js';
import { dataOf } from './sample-data.js';
import { get, path, request, withQuery } from './server.js';
import { tenantName } from './tenant-names.js';
import { DraftOnly, Versions } from './versions.js';
import { RunsBar, useRunCounts } from './workflow-counts.js';
import { templatesOf } from './workflow-model.js';
import { Picture } from './workflow-picture.js';
import { valuesOf } from './yaml.js';

/** Rows of the data. */
const MAX_ROWS = 12;

export function Workflow({ page }) {
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/workflows/${page.key}` + more, { ...tenant, ...query });
  const found = useLoad((signal) => readObject(url(), signal), [url()]);
  const editor = withQuery(page.path, { ...scopeOf(page), edit: 'yes' });
  const isMissing = found.problem?.status === 404 && !found.isLoading && page.may(CONTENT);
  if (isMissing) return html`<${DraftOnly} page=${page} url=${url('/draft')} editor=${editor} missing=${found} />`;
  return html`<${Opening} page=${page} of=${found}>${({ value: one, tag }) => {
    // The project's object on the page of a tenant is not the tenant's own.
    const isOwn = page.may(BUILDERS) && (one.tenant ?? '') === tenant.tenant && !one.in_code;
    return html`<${Heading} title=${one.key} note=${html`<${State} of=${one.active ? 'active' : 'inactive'} /><${Type} of=${one.type} /><span class="tag">v${number(one.version)}</span>${one.tenant && html`<span class="tag" title=${one.tenant}>${tenantName(one.tenant)}</span>`}`}>${page.may(BUILDERS) && html`<${Drawer} label=${`Trigger ${one.key}`} word="Trigger…" isOpenAtFirst=${page.query.has('to')}>${(close) => html`<${Trigger} key=${one.version} ...${{ page, one, url, tenant }} close=${close} />`}<//>`}${!(one.in_code && !tenant.tenant) && html`<${EditLink} page=${page} one=${one} isPrimary word=${isLocked(one) ? 'Try changes' : 'Edit'} />`}${isOwn && html`<${Seldom} ...${{ page, one, tag, url }} />`}<//><${ManagedBanner} page=${page} kind="workflows" one=${one} />${one.in_code && html`<p class="muted" role="note">${IN_CODE}</p>`}<${Together}>
      <div class="workflow-page"><section class="panel" aria-label="Steps"><${Steps} page=${page} one=${one} tenant=${tenant.tenant} /></section>
        <${Card} title="Versions"><${Versions} ...${{ one, url, editor }} isOwn=${isOwn && !isLocked(one)} /><//></div>
      <${Yaml} of=${one} isInFiles /><//>`;
  }}<//>`;
}

/** What is seldom done with a workflow. */
function Seldom({ page, one, tag, url }) {
  const word = one.active ? 'Switch off' : 'Switch on';
  const change = async () => {
    await request('PATCH', url(), { active: !one.active });
    refresh();
  };
  return html`<${More} of=${one.key}><${Confirm} label=${`${word} ${one.key}`} word=${word} about=${one.active ? 'Triggers are refused, and its runs wait until it is switched on.' : 'Triggers start runs again.'} act=${change} />${!isLocked(one) && html`<${Delete} page=${page} url=${url()} of=${{ value: one, tag }} about="All its versions are lost, and triggers are refused. Runs that have begun finish." />`}<//>`;
}

/** The flow with the counts of its runs. A step opens in the editor. */
function Steps({ page, one, tenant }) {
  const schema = useLoad((signal) => get('/v1/schemas/workflow', signal), []);
  const [selected, setSelected] = useState(null);
  const runs = useRunCounts(page, tenant, one, page.may(CONTENT));
  const editor = withQuery(page.path, { ...scopeOf(page), edit: 'yes' });
  return html`<${Loaded} of=${schema}>${(value) => html`<${Picture} ...${{ values: valuesOf(one), schema: value, selected, runs: runs.isShown ? runs : null }} select=${setSelected} edit=${() => go(editor)} copy=${() => {}} />`}<//><${RunsBar} runs=${runs} />`;
}

/** The form of a trigger, with an example of the data that the workflow and its templates read. */
function Trigger({ page, one, url, tenant, close }) {
  const read = (key, signal) => get(withQuery(path`/v1/templates/${key}`, tenant), signal).catch(() => null);
  const templates = useLoad((signal) => Promise.all([...new Set(templatesOf(one.steps))].map((key) => read(key, signal))), [one.key, one.version]);
  return html`<${Loaded} of=${templates}>${(found) => html`<${TriggerForm} ...${{ page, one, url, tenant, close }} example=${JSON.stringify(dataOf(one, found), null, 2)} />`}<//>`;
}

/** What a trigger would send now, as a simulation, and a button that triggers the workflow. */
function TriggerForm({ page, one, url, tenant, example, close }) {
  // What is chosen again replaces what was written meanwhile.
  const [{ data, times }, setData] = useState({ data: example, times: 0 });
  const [sends, setSends] = useState(null);
  const [run, setRun] = useState(null);
  const [problem, setProblem] = useState('');
  const place = useRef(null);
  useEffect(() => place.current.querySelector('[name=to]').focus(), []);
  const settle = useRef(null);
  const entered = (values) => ({ to: values.to.trim(), data: parsed(values.data) ?? {} });
  const simulate = async () => {
    const form = place.current.querySelector('form');
    if (!await settle.current()) return;
    setProblem('');
    try {
      const { to, data: sent } = entered(Object.fromEntries(new FormData(form)));
      // A draft is left out: the trigger uses the published version.
      const found = await request('POST', url('/simulate'), { to: [to], data: sent, ...(!one.in_code && { values: valuesOf(one) }) });
      setSends(found.recipients[0].path.filter(({ state, decision }) => decision || state === 'failed'));
    } catch (failed) {
      setProblem(failed.message);
    }
  };
  const trigger = async (values) => {
    setRun((await request('POST', url('/trigger'), entered(values))).run);
    refresh();
  };
  return html`<div ref=${place}><${Form} button="Trigger" more=${html`<button type="button" onClick=${close}>Cancel</button>`} send=${trigger}>
      <${PickerField} kind="recipient" label="Recipient" name="to" required none="Choose a recipient" first=${[page.query.get('to')].filter(Boolean)} tenant=${tenant.tenant} settle=${settle} newcomer=${(key) => `There is no recipient ${key} yet. Trigger again to create it, without an address.`} offer=${(choose) => html`<${RecipientChoice} tenant=${tenant.tenant} choose=${choose} />`} />
      <div class="field"><label for="sample-data">Sample data</label><${SampleChoice} id="sample-data" class=${null} workflow=${one.key} tenant=${tenant.tenant} change=${(chosen) => setData({ data: chosen ? JSON.stringify(chosen, null, 2) : example, times: times + 1 })} /></div>
      <${Field} key=${times} isLong label="Data as JSON" name="data" rows=${Math.min(MAX_ROWS, data.split('\n').length)} defaultValue=${data} />
      <details><summary>From your app or a terminal</summary><${Snippet} what="the command" of=${command(one.key, data, tenant)} /></details>
      <div><button type="button" onClick=${simulate}>Show what would be sent</button></div>
      <div role="status">${run && html`<${State} of="running" /> <a href=${withQuery(page.url(path`/runs/${run}`), tenant)}>Open the run</a>`}</div>
      <div aria-live="polite">${sends?.length === 0 && html`<p>The workflow sends nothing by itself.</p>`}${sends?.length > 0 && html`<p class="muted">A trigger now would do this. Nothing was sent.</p><ul class="rows-of">${sends.map((step) => html`<${Simulated} key=${step.step} step=${step} />`)}</ul>`}${problem && html`<p class="error" role="alert">${problem}</p>`}</div><//></div>`;
}

/** Outcomes of a simulation, which has not sent anything. */
const WOULD = { 'in the inbox': 'would be in the inbox', held: 'would wait', simulated: 'would be simulated', muted: 'would not be sent', 'not sent': 'would not be sent' };
/** What a step would send, or why it would fail. */
function Simulated({ step }) {
  const name = CHANNEL_NAMES[step.type] ?? step.step;
  if (step.state === 'failed') return html`<li><${State} of=${name} kind="bad" />would fail<span class="muted">${failureOf(step.reason)}</span></li>`;
  const [kind, word] = outcomeOf(step.decision);
  return html`<li><${State} of=${name} kind=${kind} />${WOULD[word] ?? word}${step.decision.rule && html`<span class="muted">${step.decision.rule.replaceAll('_', ' ')}</span>`}<${Moment} at=${step.decision.at ?? step.at} /></li>`;
}

const command = (key, data, { tenant }) => `bellcast trigger ${key} alice${tenant && ` --tenant ${tenant}`} --data '${JSON.stringify(JSON.parse(data)).replaceAll("'", "'\\''")}'`;
