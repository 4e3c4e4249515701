/**
 * The list of workflows.
 */
import { newLink } from './edit.js';
import { searchOf, startOf } from './filters.js';
import { count, number, toneOf } from './format.js';
import { html } from './html.js';
import { isLocked } from './managed.js';
import { Lines, Sign, VERSION, teaser } from './object-parts.js';
import { Icon, State } from './parts.js';
import { CONTENT } from './roles.js';
import { shownTenant } from './router.js';
import { get, path, withQuery } from './server.js';
import { stepsOf, typeOf } from './workflow-model.js';

/** Steps in a row of the list. */
const MAX_STEPS = 5;
/** Failed runs that are counted. */
const MAX_FAILED = 100;

/** The steps as icons, those of branches as one; those of a run with their states. A number never stands for only one. */
const UNREACHED = 'not reached', wordOf = ({ state, reason }) => (state === 'pending' || reason?.startsWith('ended: ') ? UNREACHED : state);
export const Chain = ({ of: steps, max }) => html`<span class="chain" role="img" aria-label=${`${count(steps.length, 'step')}: ${steps.map((step) => (step.state ? `${step.type} ${wordOf(step)}` : step.type)).join(', ')}`}>${steps.slice(0, steps.length > max + 1 ? max : steps.length).map((step, index) => html`<span key=${index} class=${`avatar tone-${typeOf(step).tone}`} title=${step.state && `${step.type}: ${wordOf(step)}`} data-state=${wordOf(step) === UNREACHED ? 'pending' : step.state}><${Icon} name=${typeOf(step).icon} /></span>`)}${steps.length > max + 1 && html`<small>+${steps.length - max}</small>`}</span>`;

const KIND = { name: 'workflow', path: '/workflows' };

/** The name and the note, or what it sends; before them whether it is inactive, and a lock if only a push may write it. */
const noteOf = (one) => html`${one.version > 0 && !one.active && html`<${State} of="inactive" /> · `}${isLocked(one) && html`<span class="locked" title="Managed by git"><${Icon} name="lock" /><span class="hidden">Managed by git</span></span> `}${[one.name, one.note].filter(Boolean).join(' · ') || teaser(firstText(one))}`;
/** The first text that a workflow sends. */
const firstText = (one) => stepsOf(one).map(({ step }) => step.title ?? step.subject ?? step.text).find(Boolean);
/** All steps of a workflow, with those of its branches. */
const allSteps = (one) => stepsOf(one).map(({ step }) => step);
/** The runs of the last 24 hours, and how many of them failed. Of a workflow of the project, those of all tenants are counted. */
const runsOf = (page) => ({ key, tenant, failed_runs: failed, recent_runs: { value, exact } = { value: 0 } }) => {
  if (value === 0) return exact && '0';
  const link = (text, more) => (page.may(CONTENT) ? html`<a class="plain" href=${page.url(withQuery('/runs', { workflow: key, ...more, range: '24h', tenant }))}>${text}</a>` : text);
  return html`<${Lines} isKept of=${link(`${number(value)}${exact ? '' : '+'}`)} note=${failed && html`<span class="bad">${link(`${failed} failed`, { state: 'failed' })}</span>`} />`;
};

/** Count the newest failed runs of a day for the rows, as their runs are counted; without them, the rows are shown. */
async function readFailed(rows) {
  const { runs } = await get(withQuery('/v1/runs', { state: 'failed', tenant: shownTenant() || '*', from: startOf('24h'), limit: MAX_FAILED })).catch(() => ({ runs: [] }));
  for (const row of rows) {
    const number = runs.filter(({ workflow, tenant }) => workflow === row.key && (row.tenant === null || tenant === row.tenant)).length;
    if (number > 0) row.failed_runs = runs.length === MAX_FAILED ? `${number}+` : number;
  }
}

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', fixed: { drafts: 'true' }, link: (one) => path`/workflows/${one.key}`, isTall: true, readMore: readFailed, filters: [searchOf('workflows')], tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Workflow', kind: 'title', lead: (one) => html`<${Sign} icon="workflows" tone=${toneOf(one.type ?? one.key)} />`, of: (one) => one.key, text: noteOf }, page.may(CONTENT) && { name: 'Steps', of: (one) => one.version > 0 && allSteps(one), show: (steps) => html`<${Chain} of=${steps} max=${MAX_STEPS} />`, width: '8.75rem' },
    { name: 'Type', kind: 'type', of: (one) => one.type, width: '8rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all tenants', width: '6rem' }, { name: 'Runs, 24 h', kind: 'number', of: runsOf(page), by: (one) => one.recent_runs?.value, width: '4.75rem' }, VERSION, { name: 'Updated', kind: 'time', of: (one) => one.updated_at },
  ],
  none: { text: 'No workflows yet. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};
