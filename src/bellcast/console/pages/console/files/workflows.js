/**
 * Workflows: the diagram, the versions with their differences, and a dry run.
 */
import { EditLink, newLink } from './edit.js';
import { number, parsed, toneOf } from './format.js';
import { html, useState } from './html.js';
import { Loaded, Skeleton, Together, refresh, useLoad } from './load.js';
import { ManagedBanner, isLocked } from './managed.js';
import { Card, Confirm, Copy, Facts, Field, Form, Heading, Icon, Id, Moment, State, Tag } from './parts.js';
import { BUILDERS, CONTENT } from './roles.js';
import { go, tenantOf } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { DraftOnly, Versions } from './versions.js';
import { yamlOf } from './yaml.js';

/** Fields that summarize a step, the most descriptive first. */
const SUMMARY = ['title', 'subject', 'template', 'text', 'for', 'until', 'event', 'window', 'cron', 'url', 'function', 'workflow', 'limit'];

const KIND = { name: 'workflow', path: '/workflows' };

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', fixed: { drafts: 'true' }, link: (one) => path`/workflows/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'State', kind: 'state', of: (one) => (one.version === 0 ? 'draft' : one.active ? 'active' : 'inactive') }, { name: 'Workflow', kind: 'title', of: (one) => one.key, text: (one) => one.name },
    { name: 'Type', kind: 'type', of: (one) => one.type }, page.may(CONTENT) && { name: 'Steps', kind: 'number', of: (one) => number(one.steps.length), width: '4rem' },
    { name: 'Version', kind: 'number', of: (one) => (one.version === 0 ? '–' : `v${one.version}${one.draft ? ' + draft' : ''}`), width: '5rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '7rem' },
  ],
  none: { text: 'No workflow is defined. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};

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
    return html`<${Heading} title=${one.key}><a class="button" href=${withQuery(page.url('/runs'), { workflow: one.key, ...tenant })}>Runs</a><${EditLink} page=${page} one=${one} />${isOwn && html`
        <${Confirm} label=${`${word} ${one.key}`} word=${word} act=${async () => {
      await request('PATCH', url(), { active: !one.active });
      refresh();
    }} />${!isLocked(one) && html`<${Confirm} isDanger label=${`Delete ${one.key}`} word="Delete" act=${async () => {
      await request('DELETE', url());
      go(withQuery(page.url('/workflows'), tenant));
    }} />`}`}<//><${ManagedBanner} page=${page} kind="workflows" one=${one} /><${Together}>
      <${Facts} of=${[['Key', html`<${Id} of=${one.key} />`], ['Version', number(one.version)], ['State', html`<${State} of=${one.active ? 'active' : 'inactive'} />`], ['Type', one.type], ['Tenant', one.tenant ?? 'all']]} />
      <div class="columns wide"><${Card} title="Steps"><${Diagram} steps=${one.steps} /><//><div><${Card} title="Versions"><${Versions} one=${one} url=${url} isOwn=${isOwn && !isLocked(one)} /><//>${page.may(BUILDERS) && html`<${DryRun} url=${url('/trigger', { dry_run: true })} />`}</div></div>
      <${Card} title="YAML"><pre tabIndex="0"><code>${yamlOf(one)}</code></pre><${Copy} what="the YAML" text=${yamlOf(one)} /><//><//>`;
  }}<//>`;
}

/** The icons of the steps' types. */
const ICONS = { inbox: 'notifications', email: 'mail', sms: 'messages', push: 'live', chat: 'announcements', delay: 'schedules', wait_for: 'schedules', digest: 'jobs', branch: 'workflows', throttle: 'suppressions', http: 'webhooks' };

/** The steps from top to bottom, with branches side by side. */
const Diagram = ({ steps }) => html`<ol class="diagram">${steps.map((step) => {
  const summary = SUMMARY.filter((name) => step[name] !== undefined).map((name) => (typeof step[name] === 'string' ? step[name] : JSON.stringify(step[name])))[0];
  const branches = [...(step.branches ?? []).map((branch) => [condition(branch.if), branch.steps]), ...(step.else ? [['else', step.else]] : [])];
  return html`<li key=${step.key}><div class="box"><span class=${`avatar tone-${toneOf(step.type)}`} aria-hidden="true"><${Icon} name=${ICONS[step.type] ?? 'settings'} /></span><div><b>${step.key}</b> <small>${step.type}</small>${step.if && html`<small>if ${condition(step.if)}</small>`}${summary && html`<p>${summary}</p>`}</div></div>
    ${branches.length > 0 && html`<div class="branches">${branches.map(([text, inner]) => html`<div key=${text}><small>${text}</small><${Diagram} steps=${inner} /></div>`)}</div>`}</li>`;
})}</ol>`;

/** A condition as one line. */
function condition(value) {
  if (value?.var && value.op) return `${value.var} ${value.op} ${value.value === undefined ? '' : JSON.stringify(value.value)}`.trim();
  const [name, parts] = Object.entries(value ?? {})[0] ?? [];
  return Array.isArray(parts) ? parts.map(condition).join(name === 'all' ? ' and ' : ' or ') : JSON.stringify(value);
}

/** The channels that a trigger would use now. The server sends nothing. */
function DryRun({ url }) {
  const [plan, setPlan] = useState(null);
  return html`<${Card} title="Dry run"><${Form} button="Show what would be sent" send=${async ({ to, data }) => setPlan((await request('POST', url, { to: to.trim(), data: parsed(data) ?? {} })).plan)}>
      <${Field} label="Recipient" name="to" required autocomplete="off" spellcheck=${false} /><${Field} isLong label="Data as JSON" name="data" defaultValue="{}" /><//>
    <div aria-live="polite">${plan?.length === 0 && html`<p>The workflow sends nothing by itself.</p>`}${plan?.length > 0 && html`<ul class="rows-of">${plan.map((one, index) => html`<li key=${index}><${Tag}>${one.channel}<//><${State} of=${one.outcome} />${one.rule && `Rule: ${one.rule}`}<${Moment} at=${one.at} /></li>`)}</ul>`}</div><//>`;
}
