/**
 * Messages of all channels, and one with its attempts and its content.
 */
import { confirmed, fill, h, id, moment, state } from './dom.js';
import { CHANNEL, PROVIDER, RANGE, RECIPIENT, WORKFLOW } from './filters.js';
import { empty, facts, heading, json, load } from './list.js';
import { CONTENT, card, detail, inTenant, recipientLink, tenantOf } from './page.js';
import { ROOT, get, path, request, withQuery } from './server.js';

const RETRYABLE = new Set(['failed', 'bounced']);
const NOTIFICATION = { name: 'notification', label: 'Notification' };
const STATE = { name: 'state', label: 'State', options: ['queued', 'sending', 'sent', 'delivered', 'failed', 'bounced', 'suppressed', 'held', 'cancelled', 'expired', 'simulated'] };
const FILTERS = [RECIPIENT, NOTIFICATION, WORKFLOW, { name: 'run', label: 'Run', isHidden: true }, PROVIDER, STATE, RANGE];
const OF_ALL = { path: '/v1/messages', rows: 'messages', isNewestFirst: true, single: ['recipient', 'notification', 'run'], views: [['Failed today', { state: 'failed', range: '24h' }], ['Bounced', { state: 'bounced' }]] };
const STATE_COLUMN = { name: 'State', kind: 'state', of: (one) => one.state };
const LAST_COLUMNS = [{ name: 'Provider', of: (one) => one.provider, width: '7rem' }, { name: 'Recipient', kind: 'person', of: (one) => one.recipient }, { name: 'Tenant', of: (one) => one.tenant, width: '6rem' }, { name: 'Created', kind: 'time', of: (one) => one.created_at }];

export const messages = {
  ...OF_ALL, link: (one) => path`/messages/${one.id}`, filters: [...FILTERS, CHANNEL],
  columns: [STATE_COLUMN, { name: 'To', kind: 'title', of: (one) => one.to || one.id, text: (one) => one.reason ?? one.content?.subject }, { name: 'Channel', kind: 'type', of: (one) => one.channel, width: '4.5rem' }, ...LAST_COLUMNS],
  none: { text: 'No e-mail, SMS, push or chat message has been sent yet. Each appears here, with its attempts. Without a provider, messages are simulated.', command: 'bellcast notify alice "Hello" --channel email' },
};

/** The e-mails, by their subject. */
export const mails = {
  ...OF_ALL, link: (one) => path`/mail/${one.id}`, filters: FILTERS, fixed: { channel: 'email' },
  columns: [STATE_COLUMN, { name: 'Subject', kind: 'title', of: (one) => one.content.subject || '(no subject)', text: (one) => one.reason ?? one.to }, ...LAST_COLUMNS],
  none: { text: 'No e-mail has been sent yet. Without a provider, e-mails are simulated and shown here.', command: 'bellcast notify alice "Hello" --channel email' },
};

export function message(page) {
  const tenant = tenantOf(page);
  return detail(page, withQuery(path`/v1/messages/${page.key}`, tenant), (one) => [
    heading(one.content.subject ?? `${one.channel} to ${one.to}`, page.may(CONTENT) && RETRYABLE.has(one.state) && confirmed('Retry this message', 'Retry', async () => {
      await request('POST', withQuery(path`/v1/messages/${one.id}/retry`, tenant));
      page.reload();
    }), page.may(CONTENT) && one.state === 'simulated' && !one.reason && confirmed('Release this message', 'Release', async () => {
      await request('POST', withQuery(path`/v1/messages/${one.id}/release`, tenant));
      page.reload();
    })),
    facts([
      ['Id', id(one.id)], ['To', one.to], ['State', state(one.state)], ['Reason', one.reason], ['Channel', one.channel], ['Provider', one.provider],
      ['Recipient', recipientLink(page, one.recipient)], ['Tenant', one.tenant],
      ['Notification', one.notification && h('a', { href: inTenant(page, path`/notifications/${one.notification}`) }, one.notification)],
      ['Run', one.run && h('a', { href: inTenant(page, path`/runs/${one.run}`) }, one.run)],
      ['Created', moment(one.created_at)], ['Due', moment(one.due_at)],
    ]),
    one.channel === 'email' ? email(page, one) : card('Content', json(one.content)),
    card('Attempts', one.attempts.length === 0 ? empty(one.state === 'simulated' ? 'The message was simulated: no provider is configured for its channel.' : 'No provider has been called yet.') : attemptList(one.attempts)),
  ]);
}

/** Attempts to deliver a message, with the provider's responses. */
export const attemptList = (attempts) => h('ol', { class: 'timeline' }, attempts.map((one) => h('li', {},
  h('div', {}, state(one.outcome), ` ${one.provider} `, moment(one.at)),
  (one.code || one.response) && h('p', {}, h('code', {}, [one.code, one.response].filter(Boolean).join(' '))))));

/** The HTML and text parts of an e-mail. The HTML is in a frame without scripts, and its policy blocks all loading. */
function email(page, one) {
  const place = h('div', {});
  const url = (form) => `${ROOT}${withQuery(path`/v1/messages/${one.id}/${form}`, tenantOf(page))}`;
  const forms = {
    ...(one.content.html && { HTML: () => fill(place, h('iframe', { sandbox: true, src: url('html'), title: 'E-mail' }), h('p', { class: 'muted' }, 'Images of other servers are not loaded.')) }),
    Text: () => fill(place, h('pre', { tabindex: '0' }, one.content.text ?? '')),
    Source: () => load(place, page.signal, (signal) => get(withQuery(path`/v1/messages/${one.id}/raw`, tenantOf(page)), signal), (source) => h('pre', { tabindex: '0' }, h('code', {}, source))),
  };
  const buttons = Object.entries(forms).map(([name, show]) => h('button', { type: 'button', 'aria-pressed': 'false', onclick: (event) => {
    for (const other of buttons) other.setAttribute('aria-pressed', String(other === event.currentTarget));
    show();
  } }, name));
  const section = card('E-mail', h('div', { class: 'choice', role: 'group', 'aria-label': 'Form' }, buttons, h('a', { href: url('raw'), download: `${one.id}.eml` }, 'Download .eml')), place);
  buttons[0].click();
  return section;
}
