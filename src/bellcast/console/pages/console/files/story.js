/**
 * The life of a notification as a story: its outcome, what each channel did, and how the recipient saw it.
 */
import { BellRow } from './bell-row.js';
import { html, useState } from './html.js';
import { duration, fullTime } from './format.js';
import { loadStyle } from './load.js';
import { CHANNEL_NAMES, outcomeOf, reasonOf } from './outcomes.js';
import { Copy, Icon, Time } from './parts.js';
import { Segments } from './segments.js';
import { ROOT, path, withQuery } from './server.js';
import { typeOf } from './workflow-model.js';

await loadStyle('story.css');

/** A silence of this length is shown. */
const GAP_MS = 1000;
const ATTEMPTS = {
  accepted: (provider) => ['ok', `${provider} accepted it`], temporary: (provider) => ['warn', `${provider} could not take it now`], permanent: (provider) => ['bad', `${provider} refused it permanently`],
};
const SENTENCES = {
  accepted: ['ok', 'The server accepted it'], created: ['ok', 'Put into the inbox'], edited: ['info', 'Corrected'], seen: ['ok', 'Seen'], read: ['ok', 'Read'], archived: ['info', 'Archived'],
  expired: ['info', 'Expired'], expires: ['info', 'Expires'], acted: ['ok', 'Acted on'], written: ['ok', 'Written'], routed: ['info', 'Chosen'], queued: ['info', 'Queued'], scheduled: ['wait', 'Scheduled'],
  held: ['wait', 'Held'], skipped: ['info', 'Not sent'], sent: ['ok', 'Accepted; no delivery receipt yet'], delivered: ['ok', 'Delivered'], simulated: ['info', 'Simulated, not sent'],
  failed: ['bad', 'Given up'], bounced: ['bad', 'Bounced'], suppressed: ['info', 'Not sent: the address is suppressed'], cancelled: ['info', 'Cancelled'], snoozed: ['info', 'Snoozed'],
};

/** An entry as a kind, a sentence, and the provider's own words. */
function describe(entry, messages, reach) {
  const attempt = entry.what === 'attempt' && messages.find(({ id }) => id === entry.message)?.attempts.find(({ at }) => Date.parse(at) === Date.parse(entry.at));
  if (attempt) {
    const [kind, text] = ATTEMPTS[attempt.outcome](attempt.provider);
    return { kind, text, quote: [attempt.code, attempt.response].filter(Boolean).join(' ') };
  }
  if (entry.what === 'accepted' && messages.some(({ run }) => run)) return { kind: 'ok', text: 'A workflow sent it' };
  // An announcement is put into an inbox while its recipient is connected, or when it is opened.
  if (entry.what === 'created' && reach) return reach.inboxes > 0 ? { kind: 'ok', text: 'Sent to its audience' } : { kind: 'wait', text: 'Waits for its recipients' };
  const [kind, words] = SENTENCES[entry.what] ?? ['info', entry.what.replaceAll('_', ' ')];
  const because = { skipped: entry.text ?? `not sent: ${reasonOf(entry)}`, held: entry.text }[entry.what]?.replace(/^[^:]*? (not sent|held)/, (_, word) => word);
  // The node is only of interest to operators of several.
  const [detail, node] = entry.what === 'written' ? entry.detail?.split(' on node ') ?? [] : [entry.detail];
  const text = because ? because[0].toUpperCase() + because.slice(1) : [words, detail].filter(Boolean).join(['written', 'scheduled', 'held'].includes(entry.what) ? ' ' : ': ');
  return { kind, node, text: entry.rule === 'required' ? `${text}, because its type requires it` : text };
}

/** The entries of a channel with their times after the send, and the silences between them. */
export function chapters(entries, start, messages, reach) {
  let last = start;
  // That a channel was chosen goes without saying, unless a rule did it or nothing followed, and that it was seen when it was read.
  return entries.filter(({ what, rule, at, channel }) => (what !== 'routed' || rule || entries.filter((other) => other.channel === channel).length === 1) && !(what === 'seen' && entries.some((other) => other.what === 'read' && other.at === at))).map((entry) => {
    const at = Date.parse(entry.at), gap = at - last;
    last = Math.max(at, last);
    return { ...describe(entry, messages, reach), at: entry.at, isFuture: at > Date.now(), after: at - start, gap: gap >= GAP_MS ? gap : 0 };
  // The end follows from the last attempt, so it needs no words of its own.
  }).map((one, index, all) => ({ ...one, text: all[index - 1]?.quote && one.text.startsWith('Given up') ? 'Given up' : one.text }));
}

/** What happened, with the time since the start, silences, and the words of providers. */
export const Steps = ({ of }) => html`<ol class="timeline">${of.map((step, index) => html`<li key=${index} class=${step.kind}>${step.gap > 0 && html`<span class="gap">${duration(step.gap)} later</span>`}<div><span class="story-text" title=${step.node && `Node ${step.node}`} dir="auto">${step.text}</span>${step.after > 0 && html` <time dateTime=${step.at} title=${fullTime(step.at)}>${step.isFuture ? html`<${Time} at=${step.at} />` : `+${duration(step.after)}`}</time>`}</div>${step.quote && html`<blockquote dir="auto">${step.quote}</blockquote>`}</li>`)}</ol>`;

/** @param {{one: any, entries: any[], channels: any[], messages: any[], messageUrl: (id: string) => string, note?: any}} of `entries` is the timeline, with texts if there is an explanation */
export function Story({ one, entries, channels, messages, messageUrl, note }) {
  const start = Date.parse(one.created_at);
  const names = Object.keys(CHANNEL_NAMES).filter((name) => entries.some(({ channel }) => channel === name));
  // A single channel goes on from the start, without a heading.
  const isOnly = names.length === 1;
  const lanes = [...(isOnly ? [] : [null]), ...names].map((name) => ({ name, outcome: channels.findLast(({ channel }) => channel === name), steps: chapters(entries.filter(({ channel }) => isOnly || (channel ?? null) === name), start, messages, one.reach), sent: messages.filter(({ channel }) => channel === name) })).filter(({ steps }) => steps.length > 0);
  const text = () => lanes.map(({ name, steps }) => [name && !isOnly && `${CHANNEL_NAMES[name]}:`, ...steps.map((step) => `  ${fullTime(step.at)}  ${step.text}${step.quote ? `: ${step.quote}` : ''}`)].filter(Boolean).join('\n')).join('\n');
  return html`<section class="story panel"><header><h2>Timeline</h2><${Copy} what="the timeline as text" text=${`${one.title}\n${one.id}\n${text()}`} /></header>
    <div class="lanes">${lanes.map(({ name, outcome, steps, sent }) => html`<section key=${name} class=${name && !isOnly ? 'lane' : 'lane first'} aria-label=${name ? CHANNEL_NAMES[name] : 'Start'}>
      ${name && !isOnly && html`<h3><${Icon} name=${typeOf({ type: name }).icon} /> ${CHANNEL_NAMES[name]}${outcome && outcomeOf(outcome)[0] !== 'ok' && html`<span class=${`state ${outcomeOf(outcome)[0]}`}>${outcomeOf(outcome)[1]}</span>`}</h3>`}
      <${Steps} of=${steps} />
      ${sent.map((message) => html`<p key=${message.id} class="to"><a href=${messageUrl(message.id)} dir="auto">${message.to}</a></p>`)}
    </section>`)}</div>${note}</section>`;
}

/** The notification as its recipient saw it, in each channel. */
export function Seen({ one, messages, tenant }) {
  const views = [...(one.in_inbox ? [['Inbox', html`<${BellRow} of=${{ ...one, action_text: undefined }} at=${one.created_at} />`]] : []),
    ...messages.map((message) => [CHANNEL_NAMES[message.channel], message.channel === 'email' ? html`<${Mail} message=${message} tenant=${tenant} />` : html`<${Phone} content=${message.content} />`])];
  const [shown, setShown] = useState(0);
  if (views.length === 0) return null;
  return html`<section class="seen panel"><h2>As the recipient sees it</h2>${views.length > 1 && html`<${Segments} label="Channel" options=${views.map(([name], index) => [index, name])} value=${shown} choose=${setShown} />`}${views[shown][1]}</section>`;
}

/** Pixels of a frame: what every e-mail has around its text, and a line of it. */
const AROUND = 280, LINE = 26;
/** Characters of a line of an e-mail. */
const LINE_LENGTH = 36;

/** An e-mail in a frame without scripts and without an origin: its height cannot be read, so it follows from the length of the text. */
export function MailFrame({ message: { id, content: { text = '' } }, tenant }) {
  const [letter] = text.split('\n-- \n');
  const lines = letter.split('\n').reduce((sum, line) => sum + Math.ceil(line.length / LINE_LENGTH), 0);
  return html`<iframe sandbox="" title="E-mail" style=${{ height: `min(70vh, ${AROUND + lines * LINE}px)` }} src=${`${ROOT}${withQuery(path`/v1/messages/${id}/html`, { ...tenant, scheme: 'light' })}`}></iframe>`;
}

/** To whom an e-mail was sent, and its subject. */
export const MailHead = ({ of: { to, content: { subject, to_name: name } } }) => html`<dl class="mail-head"><dt>To</dt><dd dir="auto">${name ? html`${name} <small>${to}</small>` : to}</dd><dt>Subject</dt><dd dir="auto"><b>${subject || '(no subject)'}</b></dd></dl>`;

const Mail = ({ message, tenant }) => html`<${MailHead} of=${message} />${message.content.html ? html`<${MailFrame} message=${message} tenant=${tenant} />` : html`<pre tabIndex="0">${message.content.text ?? ''}</pre>`}`;
export const Phone = ({ content }) => html`<div class="phone">${content.title && html`<b dir="auto">${content.title}</b>`}<p dir="auto">${content.body ?? content.text ?? ''}</p></div>`;
