/**
 * A workflow: its flow with what its runs did, the versions with their differences, and a dry run.
 */
import { Yaml } from './definition.js';
import { EditLink } from './edit.js';
import { number, parsed } from './format.js';
import { html, useState } from './html.js';
import { Loaded, Skeleton, Together, refresh, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { Card, Confirm, Field, Form, Heading, Moment, State, Tag, Type } from './parts.js';
import { BUILDERS, CONTENT } from './roles.js';
import { go, tenantOf } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { DraftOnly, Versions } from './versions.js';
import { RunsBar, useRunCounts } from './workflow-counts.js';
import { Picture } from './workflow-picture.js';
import { valuesOf } from './yaml.js';

export function Workflow({ page }) {
  const tenant = tenantOf(page);
  const url = (more = '', query = {}) => withQuery(path`/v1/workflows/${page.key}` + more, { ...tenant, ...query });
  const found = useLoad((signal) => get(url(), signal), [url()]);
  const title = html`<${Heading} title=${page.key} />`;
  const isMissing = found.problem?.status === 404 && !found.isLoading && page.may(CONTENT);
  return html`${found.problem && !found.isLoading && !found.value && title}${isMissing && html`<${DraftOnly} url=${url('/draft')} editor=${withQuery(page.path, { ...tenant, edit: 'yes' })} />`}<${Loaded} of=${found} skeleton=${html`${title}<${Skeleton} />`}>${(one) => {
    // The project's object on the page of a tenant is not the tenant's own.
    const isOwn = page.may(BUILDERS) && (one.tenant ?? '') === tenant.tenant;
    const word = one.active ? 'Switch off' : 'Switch on';
    return html`<${Heading} title=${one.key} note=${html`<${State} of=${one.active ? 'active' : 'inactive'} /><${Type} of=${one.type} /><span class="muted">Version ${number(one.version)}${one.tenant ? ` of ${one.tenant}` : ''}</span>`}><${EditLink} page=${page} one=${one} />${isOwn && html`
        <${Confirm} label=${`${word} ${one.key}`} word=${word} act=${async () => {
      await request('PATCH', url(), { active: !one.active });
      refresh();
    }} />${!isLocked(one) && html`<${Confirm} isDanger label=${`Delete ${one.key}`} word="Delete" act=${async () => {
      await request('DELETE', url());
      go(withQuery(page.url('/workflows'), tenant));
    }} />`}`}<//><${ManagedBanner} page=${page} kind="workflows" one=${one} /><${Together}>
      <div class="workflow-page"><section class="panel" aria-label="Steps"><${Steps} page=${page} one=${one} tenant=${tenant.tenant} /></section>
        <div><${Card} title="Versions"><${Versions} one=${one} url=${url} isOwn=${isOwn && !isLocked(one)} /><//>${page.may(BUILDERS) && html`<${DryRun} url=${url('/trigger', { dry_run: true })} />`}</div></div>
      <${Yaml} of=${one} /><//>`;
  }}<//>`;
}

/** The flow with the counts of its runs. A step opens in the editor. */
function Steps({ page, one, tenant }) {
  const schema = useLoad((signal) => get('/v1/schemas/workflow', signal), []);
  const [selected, setSelected] = useState(null);
  const runs = useRunCounts(page, tenant, page.may(CONTENT));
  const editor = withQuery(page.path, { tenant, edit: 'yes' });
  return html`<${Loaded} of=${schema}>${(value) => html`<${Picture} ...${{ values: valuesOf(one), schema: value, selected, runs: runs.isShown ? runs : null }} select=${setSelected} edit=${() => go(editor)} copy=${() => {}} />`}<//><${RunsBar} runs=${runs} />`;
}

/** The channels that a trigger would use now. The server sends nothing. */
function DryRun({ url }) {
  const [plan, setPlan] = useState(null);
  return html`<${Card} title="Dry run"><${Form} button="Show what would be sent" send=${async ({ to, data }) => setPlan((await request('POST', url, { to: to.trim(), data: parsed(data) ?? {} })).plan)}>
      <${Field} label="Recipient" name="to" required autocomplete="off" spellcheck=${false} /><${Field} isLong label="Data as JSON" name="data" defaultValue="{}" /><//>
    <div aria-live="polite">${plan?.length === 0 && html`<p>The workflow sends nothing by itself.</p>`}${plan?.length > 0 && html`<ul class="rows-of">${plan.map((one, index) => html`<li key=${index}><${Tag}>${one.channel}<//><${State} of=${one.outcome} />${one.rule && `Rule: ${one.rule}`}<${Moment} at=${one.at} /></li>`)}</ul>`}</div><//>`;
}
