/**
 * Schedules: when each sends next, and one with its next times, to run it now or pause it.
 */
import { html } from './html.js';
import { cronText } from './cron-text.js';
import { Confirm } from './dialogs.js';
import { duration, fullTime, toneOf, weekdayTime, zonedHour } from './format.js';
import { Definition, apiPath } from './definition.js';
import { Edit, newLink } from './edit.js';
import { findIn } from './filters.js';
import { refresh, useLoad } from './load.js';
import { Headline, Lines, Sign, To, stated } from './object-parts.js';
import { Card, Moment, Type } from './parts.js';
import { readNames } from './recipient-names.js';
import { BUILDERS } from './roles.js';
import { get, path, request, withQuery } from './server.js';
import { Pause, Resume, activation } from './toast.js';

const KIND = {
  name: 'schedule', path: '/schedules',
  starter: { cron: '0 9 * * 1', timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, notification: { to: '', title: '' } }, key: 'weekly-report', form: ['cron', 'timezone'], parts: { When: ['cron', 'timezone'] }, nameOf: (one) => one.workflow ?? one.notification?.title,
  fields: [['cron', 'Repeats at these times: minute, hour, day of the month, month, day of the week.'], ['at', 'Sends once, at this time.'], ['timezone', 'The time zone of these times, such as Europe/Vienna.'], ['notification', 'The notification to send: to, title, body, type and more.'], ['workflow', 'The workflow to trigger instead.'], ['to', 'The recipient of the workflow.'], ['active', '“false” pauses the schedule.'], ['missed', 'What to send after the server was off: latest, all or skip.']],
  note: 'Sends a notification or starts a workflow, once or repeatedly.',
};

const ruleOf = (one) => (one.cron ? html`<span title=${one.cron}>${cronText(one.cron)}</span>` : 'Once');
/** What it sends. */
const effectOf = (one) => (one.workflow ? `Workflow ${one.workflow}` : one.notification?.title);
const titleOf = (one) => effectOf(one) ?? one.key;
const recipientOf = (one) => (one.workflow ? one.to : one.notification?.to);

/** A schedule of recipients' own time zones has none. */
const zoneOf = ({ timezone }) => (timezone === 'recipient' ? undefined : timezone);
const cityOf = (timezone) => timezone.split('/').pop().replaceAll('_', ' ');
/** Whether the clock of a schedule differs from the reader's at a time. */
const isElsewhere = (one, at) => Boolean(at && zoneOf(one)) && weekdayTime(at, zoneOf(one)) !== weekdayTime(at);
/** In which time zone a schedule repeats, if it is not the reader's. */
function placeOf(one) {
  if (one.timezone === 'recipient') return 'in each recipient’s time zone';
  return isElsewhere(one, one.next_at ?? one.last_at ?? Date.now()) && html`${cityOf(one.timezone)} time${one.next_at && html`<span class="exact">, ${zonedHour(one.next_at)}</span>`}`;
}
const fromNow = (at) => (Date.parse(at) > Date.now() ? `in ${duration(Date.parse(at) - Date.now())}` : 'now');
/** A time on the clock of the schedule. */
const At = ({ of, at, style }) => html`<time style=${style} dateTime=${at} title=${fullTime(at)}>${weekdayTime(at, zoneOf(of))}</time>`;
const nextOf = (one) => one.next_at && html`<${Lines} of=${html`<${At} of=${one} at=${one.next_at} />`} note=${fromNow(one.next_at)} />`;
/** Why a schedule has no next time: before a key or an error, which may be longer than its row. */
const endOf = (one) => !one.next_at && html` ${stated(!one.active ? 'paused' : one.last_error ? 'failed' : 'done')} `;
const byNext = (one, other) => ((one.next_at ?? '~') < (other.next_at ?? '~') ? -1 : 1);

export const schedules = {
  path: '/v1/schedules', rows: 'schedules', readMore: (rows) => readNames(rows.filter((one) => typeof recipientOf(one) === 'string').map((one) => ({ tenant: one.tenant, recipient: recipientOf(one) }))), isTall: true, order: byNext, link: (one) => path`/schedules/${one.key}`, tools: (page) => newLink(page, KIND),
  filters: [findIn('schedules')],
  columns: [
    { name: 'Schedule', kind: 'title', lead: (one) => html`<${Sign} icon=${one.workflow ? 'workflows' : 'schedules'} tone=${toneOf(one.notification?.type ?? one.workflow ?? one.key)} />`, of: titleOf, text: (one) => html`${endOf(one)}${one.last_error ? html`<span class="bad">${one.last_error}</span>` : html`<code>${one.key}</code>`}` },
    { name: 'Repeats', of: (one) => html`<${Lines} of=${ruleOf(one)} note=${placeOf(one)} />`, show: (rule) => rule, width: '12rem' }, { name: 'To', of: (one) => recipientOf(one) && html`<${To} of=${recipientOf(one)} tenant=${one.tenant} />`, show: (to) => to, width: '8.25rem' },
    { name: 'Tenant', of: (one) => one.tenant, width: '6rem' },
    { name: 'Next', kind: 'time', of: nextOf, by: (one) => one.next_at, show: (next) => next, width: '7.75rem' },
  ],
  none: { text: 'No schedules yet. A schedule sends at a time, or again and again by a cron expression: reminders, weekly reports.', command: 'bellcast schedule put weekly.yaml', tools: (page) => newLink(page, KIND) },
};

/** Next times on the page of a schedule. */
const SHOWN = 5;

export const EditSchedule = ({ page }) => html`<${Edit} page=${page} kind=${KIND} />`;

export function Schedule({ page }) {
  const next = useLoad((signal) => get(withQuery(path`/v1/schedules/${page.key}/next`, { tenant: page.query.get('tenant'), count: SHOWN }), signal), [page.path]);
  const activate = (value, tag) => activation(apiPath(page, KIND), { value, tag });
  const run = async () => {
    await request('POST', apiPath(page, KIND, '/run'));
    refresh();
  };
  const actions = (one, tag) => html`${!one.active && html`<${Resume} name=${one.key} set=${activate(one, tag)} />`}<${Confirm} label=${`Run now: ${one.key}`} word="Run now" about="It sends once, now. Its next times stay." act=${run} />`;
  return html`<${Definition} page=${page} kind=${KIND} title=${titleOf} headline=${(one, tag) => html`<${SaysWhen} one=${one} fixes=${page.may(BUILDERS) && actions(one, tag)} />`} facts=${(one) => [['To', recipientOf(one) && html`<${To} of=${recipientOf(one)} tenant=${one.tenant} />`], ['Type', one.notification?.type && html`<${Type} of=${one.notification.type} />`], ['Time zone', one.timezone], ['Last', one.last_at && html`<${Moment} at=${one.last_at} />`]]}
    more=${(one, tag) => one.active && html`<${Pause} name=${one.key} set=${activate(one, tag)} />`} loss=${(one) => (one.active && one.next_at ? html`It would send next <${At} of=${one} at=${one.next_at} />, ${fromNow(one.next_at)}.` : 'It sends nothing now.')}>
    ${(one) => one.active && one.next_at && one.cron && html`<${Card} title=${html`Next times${zoneOf(one) && html` <span class="tag">${cityOf(zoneOf(one))}</span>`}`}><ol class="rows-of">${(next.value?.times ?? Array(SHOWN).fill('')).map((at, index) => html`<li key=${index}>${at && html`<span class="grow"><${At} of=${one} at=${at} style=${{ font: 'inherit', color: 'inherit' }} />${isElsewhere(one, at) && zonedHour(at) !== zonedHour(one.next_at) && html` <span class="muted">${zonedHour(at)}</span>`}</span><span class="muted">${fromNow(at)}</span>`}</li>`)}</ol><//>`}<//>`;
}

/** When a schedule sends, or why it does not. */
function SaysWhen({ one, fixes }) {
  const rule = html`${ruleOf(one)}${placeOf(one) && html`, ${placeOf(one)}`}`;
  if (one.last_error) return html`<${Headline} kind="bad" note=${one.last_error} fixes=${fixes}>The last run failed<//>`;
  if (!one.active) return html`<${Headline} kind="wait" note=${rule} fixes=${fixes}>Paused: it sends nothing until it is resumed<//>`;
  if (!one.next_at) return html`<${Headline} kind="info" fixes=${fixes}>It will not send again<//>`;
  return html`<${Headline} kind="ok" note=${rule} fixes=${fixes}>Sends ${fromNow(one.next_at)}: <${At} of=${one} at=${one.next_at} /><//>`;
}
