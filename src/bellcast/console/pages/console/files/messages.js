/**
 * Messages of all channels, and one with its attempts and its content.
 */
import { html, useRef, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { FreeAddress, RetryMessage } from './explain.js';
import { CHANNEL, PROVIDER, RANGE, RECIPIENT, WORKFLOW } from './filters.js';
import { Loaded, useEvery, useLoad, useOpened } from './load.js';
import { Channel } from './object-parts.js';
import { CHANNEL_NAMES, SetUpProvider, outcomeOf, simulatedText, simulationOf } from './outcomes.js';
import { Avatar, Card, Facts, Heading, Icon, Id, Moment, Opening, State, Time } from './parts.js';
import { Named, nameOf, readNames } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { inTenant, tenantOf } from './router.js';
import { Segments } from './segments.js';
import { ROOT, get, path, request, withQuery } from './server.js';
import { MailFrame, MailHead, Phone, Steps, chapters } from './story.js';

const NOTIFICATION = { name: 'notification', label: 'Notification' };
const STATE = { name: 'state', label: 'State', options: ['queued', 'sending', 'sent', 'delivered', 'failed', 'bounced', 'suppressed', 'held', 'cancelled', 'expired', 'simulated'] };
const FILTERS = [RECIPIENT, NOTIFICATION, WORKFLOW, { name: 'run', label: 'Run', isHidden: true }, PROVIDER, STATE, RANGE];
const OF_ALL = { path: '/v1/messages', rows: 'messages', readMore: readNames, isNewestFirst: true, pinsOpened: true, isDense: true, single: ['recipient', 'notification', 'run'], views: [['Failed today', { state: 'failed', range: '24h' }], ['Bounced', { state: 'bounced' }]] };
const TENANT = { name: 'Tenant', of: (one) => one.tenant, none: 'Default tenant' }, CREATED = { name: 'Created', kind: 'time', of: (one) => one.created_at };
/** The beginning of a message in one line: of an e-mail without its subject, its footer and its links. */
function beginningOf({ content: { subject = '', title, body, text = '' } }) {
  const [letter] = text.split('\n-- \n'), own = letter.startsWith(subject) ? letter.slice(subject.length) : letter;
  return ([title, body].filter(Boolean).join(': ') || own).replace(/https?:\S+/g, '').trim().replace(/([^\s.:,;!?])\s*\n\s*\n/g, '$1. ').replace(/\s+/g, ' ');
}

const personOf = (one) => one.content.to_name || nameOf(one) || one.to;
const TO = { name: 'To', kind: 'person', of: (one) => one, show: (one) => html`<span class="person" title=${one.to}><${Avatar} of=${one.recipient ?? one.to} name=${personOf(one)} /><span class="name">${personOf(one)}</span></span>`, width: '11rem' };

export const messages = {
  ...OF_ALL, link: (one) => path`/messages/${one.id}`, filters: [...FILTERS, CHANNEL],
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, TO, { name: 'Message', kind: 'title', of: (one) => one.content.subject || beginningOf(one) || nameOf(one) || one.id, text: (one) => one.reason ? html`<span class="failed-for">${one.reason}</span>` : one.content.subject && beginningOf(one) },
    { name: 'Channel', of: (one) => one, show: ({ channel, provider }) => html`<${Channel} of=${channel}>${provider && html`<span class="muted"> · ${provider}</span>`}<//>`, width: '10rem' }, TENANT, CREATED,
  ],
  none: { text: 'No messages yet. Each e-mail, SMS, push and chat message appears here, with its attempts. Without a provider, messages are simulated.', command: 'bellcast notify alice "Hello" --channel email' },
};

/** The e-mails as in a mailbox: to whom, the subject and the beginning, and what became of them. */
export const mails = {
  ...OF_ALL, link: (one) => path`/mail/${one.id}`, filters: FILTERS, fixed: { channel: 'email' },
  columns: [
    { name: 'State', kind: 'state', of: (one) => one.state }, TO, { name: 'E-mail', kind: 'title', of: (one) => one.content.subject || '(no subject)', text: (one) => (one.reason ? html`<span class="failed-for">${one.reason}</span>` : beginningOf(one)) },
    TENANT, CREATED,
  ],
  none: { text: 'No e-mails yet. Without a provider, e-mails are simulated and shown here.', command: 'bellcast notify alice "Hello" --channel email' },
};

/** A message that is being sent is read again after this time. */
const POLL_MS = 2000;
const UNDERWAY = ['queued', 'sending'];

/** The outcome of a message as a sentence. */
const HEADLINES = {
  queued: ({ due_at: due, created_at: at }) => (due && Date.parse(due) > Math.max(Date.now(), Date.parse(at)) ? html`Waits until <${Moment} at=${due} />` : 'Waits for its turn'),
  sending: ({ provider }) => `${provider ?? 'A provider'} is being called`, sent: ({ provider }) => `${provider} accepted it; no delivery receipt yet`, delivered: ({ to }) => `Delivered to ${to}`,
  failed: ({ provider }) => (provider ? `${provider} did not accept it` : 'It could not be sent'), bounced: ({ to }) => `${to} does not exist`, suppressed: ({ to }) => `Not sent: ${to} is suppressed`,
  held: ({ due_at: due }) => (due ? html`Held until <${Moment} at=${due} />` : 'Held'), cancelled: () => 'Cancelled before it was sent', expired: () => 'Expired before it was sent',
  simulated: simulatedText,
};

/** A message that is due within this time was sent at once. */
const DUE_MS = 1000;

/** A message: its outcome and what changes it, its attempts, and how it was seen. */
export function Message({ page }) {
  const tenant = tenantOf(page), url = (more = '') => withQuery(path`/v1/messages/${page.key}` + more, tenant);
  // The names of what it is a part of are read once: each read is in the audit log. It may have been deleted, or be hidden from the operator.
  const named = useRef({});
  const read = (list, id) => id && (named.current[id] ??= get(withQuery(path`/v1/${list}/${id}`, tenant)).catch(() => null));
  const found = useLoad(async (signal) => {
    const one = await get(url(), signal);
    const [notification, run, simulated] = await Promise.all([read('notifications', one.notification), read('runs', one.run), one.state === 'simulated' ? simulationOf(one, signal) : undefined]);
    return { ...one, title: notification?.title, workflow: run?.workflow, simulated };
  }, [url()]);
  useOpened(found.value);
  useEvery(POLL_MS, () => UNDERWAY.includes(found.value?.state) && found.reload());
  return html`<${Opening} page=${page} of=${found}>${(one) => {
    const [kind] = outcomeOf({ ...one, outcome: one.state === 'held' ? 'hold' : 'send' });
    const mayRetry = page.may(CONTENT) && ['failed', 'bounced'].includes(one.state);
    const mayFree = page.may(BUILDERS) && ['bounced', 'suppressed'].includes(one.state);
    const isRefused = one.state === 'failed' && one.attempts.at(-1)?.outcome === 'permanent';
    // Another attempt fails with this address too.
    const mayCorrect = page.may(BUILDERS) && one.recipient !== null && (mayFree || (isRefused && one.channel !== 'push'));
    const isCured = mayCorrect && one.state !== 'suppressed';
    const start = Date.parse(one.created_at);
    const isSimulated = one.state === 'simulated', isStuck = isSimulated && one.simulated === 'no_provider';
    const mayRelease = page.may(isStuck ? BUILDERS : CONTENT) && isSimulated && !one.reason;
    const steps = chapters([{ what: 'queued', at: one.created_at }, ...one.attempts.map(({ at }) => ({ what: 'attempt', message: one.id, at })), ...isSimulated ? [{ what: 'simulated', at: one.created_at }] : []], start, [one]);
    return html`<${Heading} title=${one.content.subject ?? `${CHANNEL_NAMES[one.channel]} to ${one.to}`} />
      <section class=${`verdict ${kind}`} aria-label="Outcome"><${Icon} name=${kind} /><div><h2 dir="auto">${isRefused ? `${one.attempts.at(-1).provider} refused it permanently` : HEADLINES[one.state](one)}</h2>${one.reason && html`<p class="text" dir="auto">${isRefused && one.attempts.at(-1).code} ${one.reason}</p>`}
        ${(mayRetry || mayRelease || mayFree || mayCorrect) && html`<div class="fixes">${mayCorrect && html`<a class=${isCured ? 'button primary' : 'button'} href=${withQuery(page.url(path`/recipients/${one.recipient}`), { tenant: one.tenant, focus: 'address' })}>Correct the address</a>`}${mayFree && html`<${FreeAddress} message=${one} tenant=${tenant} isPrimary=${!isCured} />`}${mayRetry && html`<${RetryMessage} page=${page} url=${url('/retry')} isPrimary=${!isCured} />`}
          ${mayRelease && (isStuck ? html`<${SetUpProvider} isPrimary page=${page} channel=${one.channel} tenant=${tenant} />` : html`<${Confirm} label="Send now" word="Send now" about="It leaves the server through the provider of its channel." act=${async () => {
      await request('POST', url('/release'));
      page.reload();
    }} />`)}</div>`}</div></section>
      <div class="story-columns"><div><${Card} title=${isSimulated ? 'Timeline' : 'Attempts'}><${Steps} of=${steps} />${one.attempts.length === 0 && html`<p class="muted">${isStuck ? 'Once a provider is set up, new messages are sent. This one stays, until you send it here.' : isSimulated ? 'No provider is called until it is sent.' : 'No provider has been called yet.'}</p>`}<//>
        ${one.channel === 'email' ? html`<${Mail} one=${one} page=${page} />` : html`<${Card} title="As the recipient sees it"><${Phone} content=${one.content} /><//>`}</div></div>
      <${Facts} of=${[
    ['To', one.channel !== 'email' && one.to], ['Channel', html`<${Channel} of=${one.channel}>${one.provider && html`<span class="muted"> · ${one.provider}</span>`}<//>`], ['Recipient', html`<${Named} of=${one} href=${page.may(CONTENT) ? inTenant(page, path`/recipients/${one.recipient}`) : null} />`], ['Tenant', one.tenant],
    ['Notification', one.notification && html`<a href=${inTenant(page, path`/notifications/${one.notification}`)}>${one.title || one.notification}</a>`], ['Run', one.run && html`<a href=${inTenant(page, path`/runs/${one.run}`)}>${one.workflow ?? one.run}</a>`],
    ['Created', html`<${Moment} at=${one.created_at} />`], ['Due', Date.parse(one.due_at ?? '') > Date.parse(one.created_at) + DUE_MS && html`<${Time} at=${one.due_at} />`], ['Id', html`<${Id} of=${one.id} />`],
  ]} />`;
  }}<//>`;
}

/** The HTML and text parts of an e-mail. The HTML is in a frame without scripts, and its policy blocks all loading. */
function Mail({ one, page }) {
  const [form, setForm] = useState(one.content.html ? 'HTML' : 'Text');
  const raw = withQuery(path`/v1/messages/${one.id}/raw`, tenantOf(page));
  const shown = {
    HTML: () => html`<${MailHead} of=${one} /><${MailFrame} message=${one} tenant=${tenantOf(page)} /><p class="muted">Images of other servers are not loaded.</p>`,
    Text: () => html`<${MailHead} of=${one} /><pre tabIndex="0">${one.content.text ?? ''}</pre>`,
    Source: () => html`<${Source} url=${raw} />`,
  };
  return html`<${Card} title="E-mail"><div class="choice"><${Segments} label="Form" options=${Object.keys(shown).filter((name) => name !== 'HTML' || one.content.html)} value=${form} choose=${setForm} />
    <a class="button quiet" href=${`${ROOT}${raw}`} download=${`${one.id}.eml`}><${Icon} name="download" /> Download .eml</a></div>${shown[form]()}<//>`;
}

function Source({ url }) {
  const source = useLoad((signal) => get(url, signal), [url]);
  return html`<${Loaded} of=${source}>${(text) => html`<pre tabIndex="0"><code>${text}</code></pre>`}<//>`;
}
