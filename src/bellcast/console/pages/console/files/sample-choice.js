/**
 * The data that a trigger or a test begins with: an example, or that of one of a workflow's last runs.
 */
import { relativeTime } from './format.js';
import { html } from './html.js';
import { useLoad } from './load.js';
import { nameOf, readNames } from './recipient-names.js';
import { get, withQuery } from './server.js';

/** Runs from which data is offered. */
const MAX_RECENT = 10;

/** @param {{workflow: string, tenant: string, change: (data: any) => void}} of `change` gets the data of a run, or null for the example */
export function SampleChoice({ workflow, tenant, change }) {
  const recent = useLoad(async (signal) => {
    const { runs: all } = await get(withQuery('/v1/runs', { tenant, workflow, limit: MAX_RECENT }), signal);
    await readNames(all);
    return all;
  }, [workflow, tenant]);
  const runs = recent.value ?? [];
  return html`<select class="sample-choice" aria-label="Sample data" onChange=${({ currentTarget: { value } }) => change(runs.find((run) => run.id === value)?.data ?? null)}><option value="">Example</option>${runs.map((one) => html`<option key=${one.id} value=${one.id}>${nameOf(one)}, ${relativeTime(one.created_at)}</option>`)}</select>`;
}
