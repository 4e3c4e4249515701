/**
 * The list of workflows.
 */
import { newLink } from './edit.js';
import { number } from './format.js';
import { CONTENT } from './roles.js';
import { path } from './server.js';

const KIND = { name: 'workflow', path: '/workflows' };

export const workflows = {
  path: '/v1/workflows', rows: 'workflows', fixed: { drafts: 'true' }, link: (one) => path`/workflows/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: (page) => [
    { name: 'State', kind: 'state', of: (one) => (one.version === 0 ? 'draft' : one.active ? 'active' : 'inactive') }, { name: 'Workflow', kind: 'title', of: (one) => one.key, text: (one) => one.name },
    { name: 'Type', kind: 'type', of: (one) => one.type }, page.may(CONTENT) && { name: 'Steps', kind: 'number', of: (one) => one.version > 0 && number(one.steps.length), width: '4rem' },
    { name: 'Version', kind: 'number', of: (one) => (one.version === 0 ? '–' : `v${one.version}${one.draft ? ' + draft' : ''}`), width: '5rem' }, { name: 'Tenant', of: (one) => one.tenant ?? 'all', width: '7rem' },
  ],
  none: { text: 'No workflow is defined. A workflow sends through several channels, with delays, conditions and digests.', command: 'bellcast workflow put booking.yaml', tools: (page) => newLink(page, KIND) },
};
