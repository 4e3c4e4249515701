/**
 * What a trigger or a test begins with: some recipients, and as data an example or that of one of a workflow's last runs.
 */
import { relativeTime } from './format.js';
import { html } from './html.js';
import { loadStyle, useLoad } from './load.js';
import { nameOf, readNames } from './recipient-names.js';
import { get, withQuery } from './server.js';

await loadStyle('form-fields.css');

/** Runs from which data is offered, and recipients. */
const MAX_RECENT = 10, MAX_RECIPIENTS = 2;

/** @param {{workflow: string, tenant: string, change: (data: any) => void}} of `change` gets the data of a run, or null for the example */
export function SampleChoice({ workflow, tenant, change, ...attributes }) {
  const recent = useLoad(async (signal) => {
    const { runs: all } = await get(withQuery('/v1/runs', { tenant, workflow, limit: MAX_RECENT }), signal);
    await readNames(all);
    return all;
  }, [workflow, tenant]);
  const runs = recent.value ?? [];
  return html`<select class="sample-choice" ...${attributes} aria-label="Sample data" onChange=${({ currentTarget: { value } }) => change(runs.find((run) => run.id === value)?.data ?? null)}><option value="">Example</option>${runs.map((one) => html`<option key=${one.id} value=${one.id}>${nameOf(one)}, ${relativeTime(one.created_at)}</option>`)}</select>`;
}

/** The field is not left for a button that fills it, which would examine what is typed. */
const stay = (event) => event.preventDefault();

/** Some recipients as buttons, after a field for them. Their line keeps its place while they are read. @param {{tenant: string, more?: any[], choose: (key: string) => void}} of `more` are offered too */
export function RecipientChoice({ tenant, more = [], choose }) {
  const loaded = useLoad((signal) => get(withQuery('/v1/recipients', { tenant, limit: MAX_RECIPIENTS }), signal), [tenant]);
  return html`<div class="form-hints offered">${loaded.value && html`<small class="muted">Try</small>${[...loaded.value.recipients.slice(0, MAX_RECIPIENTS), ...more].map(({ key, name }) => html`<button key=${key} type="button" class="chip-button" title=${key} onMouseDown=${stay} onClick=${() => choose(key)}>${name || key}</button>`)}`}</div>`;
}
