/**
 * Suppressions: addresses that get nothing more, because they bounced or by request, and how to free them.
 */
import { Field, Form } from './form.js';
import { html } from './html.js';
import { cancel } from './new-object.js';
import { Channel, Headline } from './object-parts.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { go, inTenant, shownTenant } from './router.js';
import { refresh, useLoad } from './load.js';
import { Card, Empty, Facts, Heading, Moment, Opening, Time } from './parts.js';
import { Named } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { get, path, request, withQuery } from './server.js';
import { TenantField } from './tenant-field.js';
import { readTenantNames } from './tenant-names.js';
import { AtOnce, say } from './toast.js';
import { FEW, MessageRows } from './traffic.js';

const CHANNELS = ['email', 'sms', 'push', 'chat'];
/** What the reports of providers mean, and what to do; other reasons were entered. */
const REASONS = {
  bounce: { word: 'bounced', kind: 'bad', verdict: 'It bounced', advice: 'correct it at the recipient, or free it' },
  complaint: { word: 'complaint', kind: 'warn', verdict: 'Its owner complained of spam', advice: 'free it only if the recipient asks for it' },
  stop: { word: 'replied STOP', verdict: 'The recipient replied STOP', advice: 'the reply START frees it' },
};
/** The reason in a word, or as it was entered. */
const wordOf = ({ reason }) => REASONS[reason]?.word ?? (reason === 'manual' ? 'by hand' : reason);
const urlOf = (one) => withQuery(path`/v1/suppressions/${one.channel}/${one.address}`, { tenant: one.tenant });
/** A button that frees an address at once. Undo suppresses it again, for the same reason. */
const Free = ({ of: one }) => html`<${AtOnce} word="Free this address" done=${`${one.address} is free: messages are sent to it again.`} act=${() => request('DELETE', urlOf(one)).then(refresh)} undo=${() => request('PUT', urlOf(one), { reason: one.reason }).then(refresh)} />`;

/** Newest first, if all are loaded: the server lists them by address. */
const newest = (one, other) => (one.created_at < other.created_at ? 1 : -1);

export const suppressions = {
  path: '/v1/suppressions', rows: 'suppressions', link: (one) => path`/suppressions/${one.channel}/${one.address}`, create: { form: NewSuppression, button: 'New suppression' }, filters: [{ name: 'text', label: 'Search addresses', isSearch: true }], order: newest,
  columns: [
    { name: 'Address', kind: 'title', of: (one) => one.address },
    { name: 'Reason', of: (one) => one, show: (one) => html`<span class="chip tone-grey" title=${REASONS[one.reason] ? null : one.reason}>${wordOf(one)}</span>`, by: wordOf, width: '12rem' }, { name: 'Channel', of: (one) => one.channel, show: (channel) => html`<${Channel} of=${channel} />`, width: '6.5rem' }, { name: 'Tenant', of: (one) => one.tenant, width: '7rem' }, { name: 'Since', kind: 'time', of: (one) => one.created_at },
  ],
  actions: (one, page) => page.may(BUILDERS) && html`<${Free} of=${one} />`,
  note: 'Nothing is sent to these addresses until you free them. An address that bounces is added.',
  none: { text: 'No suppressed addresses. Addresses that bounce appear here: nothing more is sent to them until you free them.', command: 'bellcast suppression put email gone@example.com' },
};

/** A suppressed address: why, since when, and how to free it. */
export function Suppression({ page }) {
  const [channel, address] = [page.key.slice(0, page.key.indexOf('/')), page.key.slice(page.key.indexOf('/') + 1)], tenant = page.query.get('tenant') ?? shownTenant();
  const found = useLoad(async (signal) => {
    const value = await get(withQuery('/v1/suppressions', { text: address, tenant, limit: 200 }), signal);
    await readTenantNames(value.suppressions.map((one) => one.tenant), signal);
    const one = value.suppressions.find((row) => row.channel === channel && row.address === address);
    return { one, past: one && page.may(CONTENT) && ADDRESSES[channel] && await pastOf(one, signal) };
  }, [page.key, tenant]);
  return html`<${Opening} page=${page} of=${found}>${({ one, past }) => {
    if (!one) return html`<${Heading} title=${address} /><${Empty} icon="suppressions" text="This address is not suppressed. Messages are sent to it."><a class="button" href=${page.url('/suppressions')}>All suppressions</a><//>`;
    const known = REASONS[one.reason], { kind, verdict = 'Suppressed by hand', advice = 'free it' } = known ?? {};
    const person = past?.person, isWrong = one.reason === 'bounce' && person;
    return html`<${Heading} title=${one.address} />
      <${Headline} kind=${kind ?? 'info'} note=${`${known || one.reason === 'manual' ? '' : `Reason: ${one.reason.replace(/\.$/, '')}. `}Nothing is sent to this address. To send again, ${advice}.`} fixes=${page.may(BUILDERS) && html`${isWrong && html`<a class="button primary" href=${inTenant(page, withQuery(path`/recipients/${person.key}`, { focus: 'address' }), one)}>Correct the address</a>`}<${Free} of=${one} />`}>${verdict} <${Time} at=${one.created_at} /><//>
      <${Facts} of=${[['Channel', html`<${Channel} of=${one.channel} />`], ['Recipient', past && (person ? html`<${Named} of=${{ tenant: one.tenant, recipient: person.key }} href=${inTenant(page, path`/recipients/${person.key}`, one)} />` : 'none has this address now')], ['Tenant', one.tenant], ['Since', html`<${Moment} at=${one.created_at} />`]]} />
      ${person && html`<${LastMessages} page=${page} of=${past} />`}`;
  }}<//>`;
}

/** The fields of recipients that have the addresses of channels. */
const ADDRESSES = { email: 'email', sms: 'phone' };
/** Recipients that contain an address, and messages of one, among which those to the address are. */
const MAX_PEOPLE = 20, MAX_MESSAGES = 50;

/** The recipient who has a suppressed address, and the last messages to it: the one that bounced, and those that were skipped. */
async function pastOf({ tenant, channel, address }, signal) {
  const isIts = (text) => text?.toLowerCase() === address;
  const person = (await get(withQuery('/v1/recipients', { text: address, tenant, limit: MAX_PEOPLE }), signal)).recipients.find((each) => isIts(each[ADDRESSES[channel]]));
  const { messages } = person ? await get(withQuery('/v1/messages', { recipient: person.key, channel, tenant, limit: MAX_MESSAGES }), signal) : { messages: [] };
  return { person, messages: messages.filter(({ to }) => isIts(to)) };
}

const LastMessages = ({ page, of: { messages } }) => html`<${Card} title="Messages to it">${messages.length === 0 ? html`<p class="muted">None of the last messages to the recipient went there.</p>` : html`<${MessageRows} page=${page} of=${messages.slice(0, FEW)} />`}<//>`;

function NewSuppression({ page }) {
  return html`<${Heading} title="New suppression" /><p class="muted">Nothing more is sent to it, and waiting messages are suppressed.</p><${Form} isGuarded button="Create suppression" more=${cancel(page)} send=${async ({ channel, address, tenant, reason }) => {
    const url = withQuery(path`/v1/suppressions/${channel}/${address.trim()}`, { tenant: tenant.trim() });
    await request('PUT', url, { reason: reason.trim() || 'manual' });
    refresh();
    go(withQuery(page.url('/suppressions'), { tenant: shownTenant() }));
    say(`Created ${address.trim()}`, url);
  }}><${Field} label="Channel" name="channel" options=${CHANNELS} words=${CHANNEL_NAMES} /><${Field} label="Address" name="address" required autofocus autocomplete="off" />
    <${TenantField} hint="This tenant sends nothing to the address." /><${Field} label="Reason" name="reason" maxlength="200" autocomplete="off" hint="Shown beside the address, such as “requested by phone”." /><//>`;
}
