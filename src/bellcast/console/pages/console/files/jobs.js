/**
 * Dead jobs: background work that failed several times in a row, and one with its whole error.
 */
import { html } from './html.js';
import { Confirm } from './dialogs.js';
import { refresh, useLoad } from './load.js';
import { More } from './object-parts.js';
import { Empty, Facts, Heading, Icon, Id, Moment, Opening } from './parts.js';
import { BUILDERS } from './roles.js';
import { go, shownTenant, tenantOf } from './router.js';
import { path, readAll, request, withQuery } from './server.js';

/** What a job does, by its kind. */
const WORK = {
  message: 'Send a message', digest: 'Send a digest', send_fanout: 'Send to many recipients', run: 'Continue a workflow run', fanout: 'Start a workflow for many recipients', schedule: 'Fire a schedule',
  webhook: 'Deliver to a webhook', 'webhook-event': 'Collect events of webhooks', receipt: 'Read a provider’s receipt', replay: 'Retry failures', tenant_erasure: 'Erase a tenant',
};
const workOf = ({ kind }) => WORK[kind] ?? kind;

const listUrl = (page) => withQuery(page.url('/jobs'), { tenant: shownTenant() });

/** Act on a job, which is not dead afterwards. */
const act = (page, one, method, target) => async () => {
  await request(method, withQuery(target, { tenant: one.tenant }));
  refresh();
  if (page.key) go(listUrl(page));
};
const RetryJob = ({ one, page, isPrimary }) => html`<${Confirm} isPrimary=${isPrimary} label=${`Retry ${one.kind} ${one.id}`} word="Retry" about="It runs again, and its attempts are counted from the first." act=${act(page, one, 'POST', path`/v1/jobs/${one.id}/retry`)} />`;
const DeleteJob = ({ one, page }) => html`<${Confirm} isDanger label=${`Delete ${one.kind} ${one.id}`} word="Delete" about="Its work is not done." act=${act(page, one, 'DELETE', path`/v1/jobs/${one.id}`)} />`;

export const jobs = {
  path: '/v1/jobs', rows: 'jobs', link: (one) => path`/jobs/${one.id}`,
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, { name: 'Job', kind: 'title', of: workOf, text: (one) => one.error }, { name: 'Attempts', kind: 'number', of: (one) => one.attempts, width: '5rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '7rem' }, { name: 'Created', kind: 'time', of: (one) => one.created_at },
  ],
  actions: (one, page) => page.may(BUILDERS) && html`<${RetryJob} one=${one} page=${page} /><${DeleteJob} one=${one} page=${page} />`,
  none: { icon: 'ok', text: 'No dead jobs. A job is work in the background, such as an e-mail to send, a workflow to continue or a schedule to fire. One that fails several times in a row is given up and waits here, to be retried or deleted.' },
};

/** A dead job: its error and what to do, and where it belongs. The list has it: there are few, and none has another operation to read it. */
export function Job({ page }) {
  const { tenant } = tenantOf(page);
  const found = useLoad(async (signal) => ({ one: (await readAll((after) => withQuery('/v1/jobs', { tenant, after }), 'jobs', signal)).find(({ id }) => id === page.key) }), [page.key, tenant]);
  return html`<${Opening} page=${page} of=${found}>${({ one }) => (one === undefined ? html`<${Heading} title="Dead job" /><${Empty} icon="jobs" text="This job is no longer dead: it was retried or deleted." />` : html`
    <${Heading} title=${workOf(one)}><${More} of="this job">${page.may(BUILDERS) && html`<${DeleteJob} one=${one} page=${page} />`}<//><//><section class="verdict bad" aria-label="Outcome"><${Icon} name="bad" /><div><h2>Given up after ${one.attempts === 1 ? 'one attempt' : `${one.attempts} attempts`}</h2><p class="text" dir="auto">${one.error}</p><p class="text muted">A retry begins to count again. Correct the cause first.</p>${page.may(BUILDERS) && html`<div class="fixes"><${RetryJob} one=${one} page=${page} isPrimary /></div>`}</div></section>
    <${Facts} of=${[['Id', html`<${Id} of=${one.id} />`], ['Kind', html`<code>${one.kind}</code>`], ['Tenant', one.tenant], ['Created', html`<${Moment} at=${one.created_at} />`]]} />`)}<//>`;
}
