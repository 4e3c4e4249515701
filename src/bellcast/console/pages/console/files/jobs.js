/**
 * Dead jobs: background work that failed several times in a row.
 */
import { html } from './html.js';
import { refresh } from './load.js';
import { Confirm } from './parts.js';
import { BUILDERS } from './roles.js';
import { path, request, withQuery } from './server.js';

const act = (method, target) => async () => {
  await request(method, target);
  refresh();
};

export const jobs = {
  path: '/v1/jobs', rows: 'jobs',
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, { name: 'Job', kind: 'title', of: (one) => one.kind, text: (one) => one.error }, { name: 'Attempts', kind: 'number', of: (one) => one.attempts, width: '5rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '7rem' }, { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  actions: (one, page) => page.may(BUILDERS) && html`<${Confirm} label=${`Retry ${one.kind} ${one.id}`} word="Retry" act=${act('POST', withQuery(path`/v1/jobs/${one.id}/retry`, { tenant: one.tenant }))} />
    <${Confirm} isDanger label=${`Delete ${one.kind} ${one.id}`} word="Delete" act=${act('DELETE', withQuery(path`/v1/jobs/${one.id}`, { tenant: one.tenant }))} />`,
  none: { text: 'No job is dead. Work in the background that fails several times in a row waits here. Failures of messages and runs are under Failures.', command: 'bellcast job list' },
};
