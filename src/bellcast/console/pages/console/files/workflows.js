/**
 * The list of workflows.
 */
import { newLink } from './edit.js';
import { count } from './format.js';
import { html } from './html.js';
import { isLocked } from './managed.js';
import { Icon } from './parts.js';
import { CONTENT } from './roles.js';
import { path } from './server.js';
import { typeOf } from './workflow-model.js';

/** Steps in a row of the list. */
const MAX_STEPS = 7;

/** The steps as icons, those of branches as one; those of a run with their states. A number never stands for only one. */
export const Chain = ({ of: steps, max }) => html`<span class="chain" role="img" aria-label=${`${count(steps.length, 'step')}: ${steps.map(({ type, state }) => (state ? `${type} ${state}` : type)).join(', ')}`}>${steps.slice(0, steps.length > max + 1 ? max : steps.length).map(({ type, state }, index) => html`<span key=${index} class=${`avatar tone-${typeOf({ type }).tone}`} data-state=${state}><${Icon} name=${typeOf({ type }).icon} /></span>`)}${steps.length > max + 1 && html`<small>+${steps.length - max}</small>`}</span>`;

const KIND = { name: 'workflow', path: '/workflows' };

/** The version and the name; a lock for those that only a push may write. The usual state, active, is not said. */
const noteOf = (one) => html`${isLocked(one) && html`<span class="locked" title="Managed by git"><${Icon} name="lock" /><span class="hidden">Managed by git</span></span> `}${[one.version > 0 && `v${one.version}`, one.version > 0 && one.draft && 'draft', one.name].filter(Boolean).join(' · ')}`;

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', fixed: { drafts: 'true' }, link: (one) => path`/workflows/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'Workflow', kind: 'title', of: (one) => one.key, text: noteOf }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '7rem' }, { name: 'Type', kind: 'type', of: (one) => one.type },
    page.may(CONTENT) && { name: 'Steps', of: (one) => one.version > 0 && one.steps, show: (steps) => html`<${Chain} of=${steps} max=${MAX_STEPS} />`, width: '12rem' },
    { name: 'State', kind: 'state', of: (one) => (one.version === 0 ? 'draft' : !one.active && 'inactive') },
  ],
  none: { text: 'No workflow is defined. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};
