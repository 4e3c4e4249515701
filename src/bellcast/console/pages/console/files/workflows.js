/**
 * The list of workflows.
 */
import { editorOf, newLink, versionOf } from './edit.js';
import { searchOf } from './filters.js';
import { count, number, toneOf } from './format.js';
import { html } from './html.js';
import { isLocked } from './managed.js';
import { Lines, Sign, teaser } from './object-parts.js';
import { Icon, State } from './parts.js';
import { CONTENT } from './roles.js';
import { path, withQuery } from './server.js';
import { stepsOf, typeOf } from './workflow-model.js';

/** Steps in a row of the list. */
const MAX_STEPS = 7;

/** The steps as icons, those of branches as one; those of a run with their states. A number never stands for only one. */
export const Chain = ({ of: steps, max }) => html`<span class="chain" role="img" aria-label=${`${count(steps.length, 'step')}: ${steps.map(({ type, state }) => (state ? `${type} ${state}` : type)).join(', ')}`}>${steps.slice(0, steps.length > max + 1 ? max : steps.length).map(({ type, state }, index) => html`<span key=${index} class=${`avatar tone-${typeOf({ type }).tone}`} data-state=${state}><${Icon} name=${typeOf({ type }).icon} /></span>`)}${steps.length > max + 1 && html`<small>+${steps.length - max}</small>`}</span>`;

const KIND = { name: 'workflow', path: '/workflows' };

/** The name and the note, or what it sends; before them whether it is inactive, and a lock if only a push may write it. */
const noteOf = (one) => html`${one.version > 0 && !one.active && html`<${State} of="inactive" /> · `}${isLocked(one) && html`<span class="locked" title="Managed by git"><${Icon} name="lock" /><span class="hidden">Managed by git</span></span> `}${[one.name, one.note].filter(Boolean).join(' · ') || teaser(firstText(one))}`;
/** The first text that a workflow sends. */
const firstText = (one) => stepsOf(one).map(({ step }) => step.title ?? step.subject ?? step.text).find(Boolean);
/** All steps of a workflow, with those of its branches. */
const allSteps = (one) => stepsOf(one).map(({ step }) => step);
/** The runs of the last 24 hours. Of a workflow of the project, those of all tenants are counted. */
const runsOf = (page) => ({ key, tenant, recent_runs: { value, exact } = { value: 0 } }) => {
  if (value === 0) return exact && '0';
  const text = `${number(value)}${exact ? '' : '+'}`;
  return page.may(CONTENT) ? html`<a href=${page.url(withQuery('/runs', { workflow: key, range: '24h', tenant }))}>${text}</a>` : text;
};

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', fixed: { drafts: 'true' }, link: (one) => path`/workflows/${one.key}`, isTall: true, filters: [searchOf('workflows')], tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Workflow', kind: 'title', lead: (one) => html`<${Sign} icon="workflows" tone=${toneOf(one.type ?? one.key)} />`, of: (one) => one.key, text: noteOf }, page.may(CONTENT) && { name: 'Steps', of: (one) => one.version > 0 && allSteps(one), show: (steps) => html`<${Chain} of=${steps} max=${MAX_STEPS} />`, width: '12rem' },
    { name: 'Type', kind: 'type', of: (one) => one.type, width: '9rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '6rem' }, { name: 'Runs, 24 h', kind: 'number', of: runsOf(page), width: '4.75rem' }, { name: 'Version', kind: 'number', of: (one) => html`<${Lines} of=${versionOf(one)} note=${editorOf(one)} />`, width: '6rem' }, { name: 'Updated', kind: 'time', of: (one) => one.updated_at },
  ],
  none: { text: 'No workflows yet. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};
