/**
 * Schedules: when each sends next, and one with its next times, to run it now or pause it.
 */
import { html } from './html.js';
import { cronText } from './format.js';
import { Definition, apiPath } from './definition.js';
import { Edit, newLink } from './edit.js';
import { refresh, useLoad } from './load.js';
import { Card, Confirm, Moment, State, Undoable } from './parts.js';
import { exchange, get, path, request, withQuery } from './server.js';

const KIND = {
  name: 'schedule', path: '/schedules',
  starter: { cron: '0 9 * * 1', timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, notification: { to: '', title: '' } }, key: 'weekly-report', form: ['cron', 'timezone'],
  fields: [['cron', 'When, again and again: minute, hour, day, month, weekday.'], ['at', 'Or once, at this time.'], ['timezone', 'Of these times, such as Europe/Vienna.'], ['notification', 'What is sent: to, title, body, type …'], ['workflow', 'Or the workflow that is triggered.'], ['to', 'The recipient of the workflow.'], ['active', 'false pauses it.'], ['missed', 'latest, all or skip: what a server does after it was off.']],
  note: 'A schedule sends a notification or triggers a workflow, by a cron expression or once, at a time.',
};

const stateOf = (one) => (one.last_error ? 'failed' : !one.active ? 'paused' : one.next_at ? 'active' : 'done');
const ruleOf = (one) => (one.cron ? html`<span title=${one.cron}>${cronText(one.cron)}</span>` : 'once');
/** What it sends, and to whom. */
const effectOf = (one) => (one.workflow ? `workflow ${one.workflow}` : one.notification?.title);

export const schedules = {
  path: '/v1/schedules', rows: 'schedules', link: (one) => path`/schedules/${one.key}`, tools: (page) => newLink(page, KIND),
  columns: [
    { name: 'State', kind: 'state', of: stateOf }, { name: 'Schedule', kind: 'title', of: (one) => one.key, text: (one) => one.last_error ?? effectOf(one) },
    { name: 'Type', kind: 'type', of: (one) => one.notification?.type }, { name: 'Repeats', of: ruleOf, width: '11rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'Last', kind: 'time', of: (one) => one.last_at }, { name: 'Next', kind: 'time', of: (one) => one.next_at },
  ],
  none: { text: 'No schedule exists. A schedule sends at a time, or again and again by a cron expression: reminders, weekly reports.', command: 'bellcast schedule put weekly.yaml', tools: (page) => newLink(page, KIND) },
};

export const EditSchedule = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export function Schedule({ page }) {
  const next = useLoad((signal) => get(withQuery(path`/v1/schedules/${page.key}/next`, { tenant: page.query.get('tenant'), count: 5 }), signal), [page.path]);
  const toggle = async (one, tag) => {
    await exchange('PUT', apiPath(page, KIND), { type: 'application/json', body: JSON.stringify({ ...one, active: !one.active }), headers: { 'if-match': tag } });
    refresh();
  };
  const run = async () => {
    await request('POST', apiPath(page, KIND, '/run'));
    refresh();
  };
  return html`<${Definition} page=${page} kind=${KIND} facts=${(one) => [['State', html`<${State} of=${stateOf(one)} />`], ['Error', one.last_error], ['Repeats', ruleOf(one)], ['Time zone', one.timezone], ['Sends', effectOf(one)], ['Last', one.last_at && html`<${Moment} at=${one.last_at} />`]]}
    actions=${(one, tag) => html`<${Confirm} label=${`Run now: ${one.key}`} word="Run now" act=${run} /><${Undoable} word=${one.active ? 'Pause' : 'Resume'} isPrimary=${false} act=${() => toggle(one, tag)} />`}>
    ${(one) => html`<${Card} title="Next times">${!one.active ? html`<p class="muted">Paused: it sends nothing until it is resumed.</p>` : next.value?.times.length > 0 ? html`<ol class="rows-of">${next.value.times.map((at) => html`<li key=${at}><${Moment} at=${at} /></li>`)}</ol>` : html`<p class="muted">It will not send again.</p>`}<//>`}<//>`;
}
