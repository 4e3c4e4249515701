/**
 * Why a recipient got something or not: the verdict, the outcome of each channel, and buttons that change it, with Undo.
 */
import { Field, Form } from './form.js';
import { html, signal, useRef, useState } from './html.js';
import { Confirm, Dialog } from './dialogs.js';
import { Loaded, useEvery, useLoad } from './load.js';
import { CHANNEL_NAMES, MESSAGE_NAMES, SetUpProvider, inWords, outcomeOf, simulatedText, simulationOf } from './outcomes.js';
import { More } from './object-parts.js';
import { Card, Icon, Moment, Time, once, prose } from './parts.js';
import { nameOf } from './recipient-names.js';
import { BUILDERS, CONTENT } from './roles.js';
import { setQuery } from './router.js';
import { get, path, request, withQuery } from './server.js';
import { stepsOf } from './workflow-model.js';

/** Raised when a suggestion has changed preferences, which the page may show. */
export const preferenceChanges = signal(0);
const VERDICTS = {
  delivered: ['ok', 'Everything was delivered'], waiting: ['wait', 'Still on its way'], nothing_sent: ['info', 'Nothing was sent'],
  not_delivered: ['bad', 'Nothing was delivered'], partly_delivered: ['bad', 'Delivered only in part'], unknown_recipient: ['bad', 'There is no such recipient'],
};

/** What a recipient without an address for a channel lacks. */
const LACKS = { email: 'no address', sms: 'no phone number', push: 'no device registered', chat: 'no address' };
const AND = new Intl.ListFormat('en'), OR = new Intl.ListFormat('en', { type: 'disjunction' });

/** What arrived, and what rules did not send. */
function inPart(channels, opened) {
  const arrived = channels.filter((one) => outcomeOf(one)[0] === 'ok').map(({ channel }) => (channel === 'inbox' ? 'inbox' : MESSAGE_NAMES[channel]));
  const skipped = channels.filter(({ outcome }) => outcome === 'skip');
  const lack = skipped.length === 1 && skipped[0].rule === 'no_address' && LACKS[skipped[0].channel];
  return `${arrived.join() === 'inbox' ? opened ?? 'In the inbox' : `Delivered by ${AND.format(arrived)}`}; no ${OR.format(skipped.map(({ channel }) => MESSAGE_NAMES[channel]))}${lack ? `: ${lack}` : ''}`;
}

/** The outcome as a headline, a sentence for each channel that needs one, and the buttons where it can be changed. */
export function Verdict({ page, of, recipient, tenant, name = nameOf({ ...tenant, recipient }), title, type, messages = [] }) {
  const isOnly = of.channels.length === 1;
  const stopped = of.channels.find((one) => outcomeOf(one)[0] === 'bad' || one.outcome === 'skip');
  const [severity, general] = VERDICTS[of.verdict];
  const unsent = page.may(CONTENT) ? unsentOf(of) : [];
  // A channel that is skipped needs another fix before a provider.
  const needed = of.actions.filter((one) => !isSetUp(one) || page.may(BUILDERS) && of.channels.some(({ channel, outcome }) => one.path.endsWith(`/${channel}`) && outcome !== 'skip')), setUps = needed.filter(isSetUp);
  // All providers are set up on one page.
  const actions = setUps.length > 1 ? [{ ...setUps[0], path: PROVIDERS }, ...needed.filter((one) => !isSetUp(one))] : needed;
  // Nothing left the server: that comes before channels that were skipped.
  const simulated = of.channels.find((one) => one.state === 'simulated');
  const isStored = simulated && of.channels.every((one) => outcomeOf(one)[0] !== 'bad');
  // Rules decided what was not sent: no attempt and no run failed.
  const isByRules = severity === 'bad' && of.channels.some(({ outcome }) => outcome === 'skip') && of.channels.every((one) => outcomeOf(one)[0] !== 'bad') && !of.actions.some(({ path: target }) => target.startsWith('/v1/runs/'));
  const kind = isStored ? 'info' : isByRules ? 'warn' : severity;
  const cure = actions.find(isCure) ?? actions.find(isRetry) ?? actions.find(isSetUp);
  const fix = (one, kind = one === cure ? 'button primary' : 'button') => html`<${Fix} key=${one.method + one.path} page=${page} action=${one} linkClass=${kind ?? 'option'} cure=${cure} channels=${of.channels} recipient=${recipient} type=${type} tenant=${tenant} messages=${messages} />`;
  // Links to other pages go into a menu, so that the buttons stay on two lines.
  const folded = actions.length + unsent.length > MAX_BUTTONS ? actions.filter((one) => one !== cure && isElsewhere(one)) : [];
  // What a headline says needs no list.
  const isBrief = isOnly && kind === 'ok' && of.channels[0].channel === 'inbox' && actions.length + unsent.length === 0;
  const [opened, hasExpired] = openedIn(of.facts), at = opened && html`<${Time} at=${opened.at} />`, unread = hasExpired ? 'expired' : 'unread';
  const headline = isBrief ? title ? opened ? html`“${title}” was ${opened.what} ${at}` : `“${title}” is in the inbox · ${unread}` : opened ? html`${OPENED[opened.what]} by ${name} ${at}` : `In ${name}’s inbox · ${unread}` : isStored ? simulatedText(simulated) : of.verdict === 'delivered' && of.channels.some(({ state }) => state === 'sent') ? 'Everything was sent' : isByRules && of.verdict === 'partly_delivered' ? inPart(of.channels, opened && `${OPENED[opened.what]} by ${name}`) : stopped && (isOnly || of.verdict === 'partly_delivered') ? `${name} got no ${MESSAGE_NAMES[stopped.channel]}` : general;
  return html`<section class=${`verdict ${kind}`} aria-label="Outcome"><${Icon} name=${kind} /><div>
    <h2 dir="auto">${headline}</h2>
    ${isBrief ? null : of.channels.length === 0 ? html`<p class="text">${withTimes(of.text)}</p>` : html`<ul class="text">${of.channels.map((one) => html`<li key=${one.channel + one.text}><${Outcome} of=${one} /><span dir="auto">${prose(inWords(one.text.slice(0, one.text.length - (one.hint?.length ?? 0))))}${one.channel === 'inbox' && opened && html` ${OPENED[opened.what]} ${at}.`}</span></li>`)}</ul>`}
    ${(actions.length > 0 || unsent.length > 0) && html`<div class="fixes">${actions.filter((one) => !folded.includes(one)).map((one) => fix(one))}${unsent.map((one) => html`<${SendAs} key=${one.notification + one.channel} page=${page} recipient=${recipient} tenant=${tenant} ...${one} />`)}<${More} of="this outcome">${folded.map((one) => fix(one, null))}<//></div>`}
  </div></section>`;
}

const OPENED = { read: 'Read', seen: 'Seen', archived: 'Archived' };
/** When the recipient read, saw or archived the notification of which the outcome is shown, the newest one; undefined if none of them. And whether it has expired. */
function openedIn(facts) {
  const own = byNotification(facts)[0]?.[1] ?? [];
  const last = (name) => own.findLast(({ what }) => what === name);
  return [Object.keys(OPENED).map(last).find(Boolean), Boolean(last('expired'))];
}

export function Outcome({ of }) {
  const [kind, word] = outcomeOf(of);
  return html`<span class=${`state ${kind}`}><${Icon} name=${kind} />${CHANNEL_NAMES[of.channel]} <span class="hidden">${word}</span></span>`;
}

/** A preference that stops a channel, as a patch that removes it and one that restores it; null if another document decides. */
function switchOf({ rule, by, channel }, type, { muted = {}, channels = {}, types = {} }) {
  const all = muted['*'] === undefined ? type : '*';
  if (rule === 'muted' && muted[all] !== undefined) return [{ muted: { [all]: null } }, { muted: { [all]: muted[all] } }];
  if (by !== 'recipient') return null;
  if (rule === 'channel') return [{ channels: { [channel]: true } }, { channels: { [channel]: channels[channel] ?? null } }];
  return rule === 'type' && type ? [{ types: { [type]: { [channel]: true } } }, { types: { [type]: { [channel]: types[type]?.[channel] ?? null } } }] : null;
}

/** A button that acts at once, or a `form` with a first field, of which the values are what `act` gets. `act` resolves to what was done and how to undo it, `{done, undo}`, or to nothing. */
function Undoable({ word, act, form, isPrimary = true }) {
  const [done, setDone] = useState(null), [problem, setProblem] = useState('');
  const button = useRef(null); // or the first field
  const settle = (next) => async (values) => {
    setDone(await next(values) ?? null);
    setTimeout(() => document.activeElement === document.body && button.current?.focus()); // the other button took its place
  };
  const attempt = (next) => once(() => settle(next)().then(() => setProblem(''), (failed) => setProblem(failed.message)));
  const error = problem && html`<span class="error" role="alert">${problem}</span>`;
  if (done) return html`<span class="fixed" role="status"><${Icon} name="ok" /> ${done.done} <button type="button" ref=${button} onClick=${attempt(done.undo)}>Undo</button>${error}</span>`;
  return form ? form(settle(act), button) : html`<button type="button" ref=${button} class=${isPrimary ? 'primary' : null} onClick=${attempt(act)}>${word}</button>${error}`;
}

/** Suppressed addresses that contain another one. */
const MAX_SUPPRESSIONS = 200;

/** A button that sends to a suppressed address again. Undo suppresses it for the same reason. */
export function FreeAddress({ message, tenant, isPrimary }) {
  const url = withQuery(path`/v1/suppressions/${message.channel}/${message.to}`, tenant);
  return html`<${Undoable} word="Free this address" isPrimary=${isPrimary} act=${async () => {
    const { suppressions } = await get(withQuery('/v1/suppressions', { text: message.to, limit: MAX_SUPPRESSIONS, ...tenant }));
    const { reason } = suppressions.find((one) => one.channel === message.channel && one.address.toLowerCase() === message.to.toLowerCase()) ?? { reason: 'bounce' };
    await request('DELETE', url);
    return { done: `${message.to} is free again.`, undo: () => request('PUT', url, { reason }).then(() => null) };
  }} />`;
}

/** Rules that a preference or an address can change. */
const CHANGEABLE = ['muted', 'channel', 'type', 'workflow', 'no_address', 'invalid_address'];
/** The channels that a rule stopped, each with the notification that it did not send. Without a title, it had texts for the channel only. */
const unsentOf = ({ channels, facts }) => channels.filter(({ channel, outcome, rule }) => outcome === 'skip' && channel !== 'inbox' && CHANGEABLE.includes(rule))
  .map(({ channel }) => ({ channel, ...facts.findLast((fact) => fact.what === 'skipped' && fact.channel === channel) })).filter(({ title }) => title);

/** A button that sends what a rule did not send: the texts of the step of a run, or else the title and the text of the notification. */
function SendAs({ page, notification, channel, recipient, tenant }) {
  const [copied, setCopied] = useState(null);
  const [problem, setProblem] = useState('');
  const [sent, setSent] = useState(null);
  const close = () => setCopied(null);
  const open = () => copyOf({ notification, channel, recipient, tenant }, page.may(BUILDERS)).then(setCopied, (failed) => setProblem(failed.message));
  const send = async (draft) => {
    const { notifications: [{ id }] } = await request('POST', withQuery('/v1/notifications', tenant), draft);
    setSent({ id, ...await sentAs({ notification: id, channel, recipient, tenant }) });
  };
  if (sent) return html`<span class="fixed" role="status"><${Icon} name=${sent.kind} /> ${sent.text} <a href=${withQuery(page.url(path`/notifications/${sent.id}`), tenant)}>Open it</a></span>`;
  const Content = copied?.step ? StepOfCopy : TextsOfCopy;
  return html`<button type="button" onClick=${open}>Send as ${MESSAGE_NAMES[channel]}…</button>${problem && html`<span class="error" role="alert">${problem}</span>`}${copied && html`<${Dialog} label=${`Send as ${MESSAGE_NAMES[channel]}`} close=${close}>
    <${Content} ...${{ ...copied, channel, close, send }} /><//>`}`;
}

/** What became of a message that was just sent, in words. */
async function sentAs({ notification, channel, recipient, tenant }) {
  const { messages: [message] } = await get(withQuery('/v1/messages', { notification, channel, limit: 1, ...tenant }));
  if (!message) return { kind: 'info', text: 'Not sent: a preference stopped it again.' };
  const { state } = message;
  if (state === 'simulated') return { kind: 'info', text: `${simulatedText({ channel, simulated: await simulationOf({ channel, recipient, notification, ...tenant }) })}.` };
  const [kind, word] = outcomeOf({ ...message, outcome: state === 'held' ? 'hold' : 'send' });
  return { kind, text: { waiting: 'It is being sent.', sent: 'Sent.', delivered: 'Delivered.' }[word] ?? `The message is ${word}.` };
}

/** Fields of a notification that a copy has too. */
const COPIED = ['title', 'body', 'type', 'priority', 'action_url', 'action_text', 'icon', 'data', 'tags', 'group', 'body_format', 'actions'];
/** Runs of the recipient among which that of a notification is found. */
const MAX_RUNS = 50;

/** A notification as a new one for one channel, with the texts of the step that was skipped if it is known, and what its recipient's preferences would do with it. */
async function copyOf({ notification, channel, recipient, tenant }, mayRender) {
  const one = await get(withQuery(path`/v1/notifications/${notification}`, tenant));
  const step = mayRender ? await stepOf({ notification, channel, recipient, tenant }).catch(() => null) : null;
  const copy = { to: recipient, channels: [channel], ...Object.fromEntries(COPIED.map((name) => [name, one[name]])), ...step?.draft };
  const { plan } = await request('POST', withQuery('/v1/notifications', { ...tenant, dry_run: true }), copy);
  return { copy, step, decided: plan.find((row) => row.channel === channel) };
}

/** The step of a run that a rule skipped beside a notification: its template, and how its texts look. Null without one, or if they need more than the data of the run. */
async function stepOf({ notification, channel, recipient, tenant }) {
  const { runs } = await get(withQuery('/v1/runs', { recipient, limit: MAX_RUNS, ...tenant }));
  const run = runs.find(({ steps }) => steps.some((one) => one.notification === notification));
  const skipped = run?.steps.find(({ type, state, reason }) => type === channel && state === 'skipped' && CHANGEABLE.includes(reason));
  if (!skipped) return null;
  const workflow = await get(withQuery(path`/v1/workflows/${run.workflow}`, { ...tenant, version: run.version }));
  const { key, template } = stepsOf(workflow).find(({ step }) => step.key === skipped.key).step;
  if (!template) return null; // a preview has placeholders for the links of the recipient
  const { missing, [channel]: shown } = await request('POST', withQuery(path`/v1/templates/${template}/preview`, tenant), { data: run.data, recipient });
  return missing.length > 0 || !shown ? null : { key, template, shown, draft: { data: run.data, template } };
}

const REASONS = { muted: 'the recipient has muted it', no_address: 'the recipient has no address', invalid_address: 'the address cannot be used', suppressed: 'the address is suppressed' };
const StillStopped = ({ decided }) => decided?.outcome === 'skip' && html`<p class="notice" role="note">It would not be sent now either: ${REASONS[decided.rule] ?? 'a preference switches it off'}. Change that first.</p>`;

/** The texts of the step, as they are sent. */
const StepOfCopy = ({ copy, step, decided, channel, close, send }) => html`<p class="muted">A new notification with the ${MESSAGE_NAMES[channel]} of the step ${step.key} from the template ${step.template}, with the data of the run, through this channel only.</p>
  <${StillStopped} decided=${decided} />
  <div class="mail" role="group" aria-label="What is sent"><p dir="auto"><b>${step.shown.subject ?? step.shown.title}</b></p><pre tabIndex="0" dir="auto">${step.shown.text ?? step.shown.body}</pre></div>
  <${Form} button="Send" more=${html`<button type="button" onClick=${close}>Cancel</button>`} send=${() => send(copy)} />`;

/** The texts of the copy, to change before it is sent. */
function TextsOfCopy({ copy, decided, channel, close, send }) {
  const { title, body, ...others } = copy;
  return html`<p class="muted">A new notification with the title and the text for the inbox, as shown here, through this channel only. The ${MESSAGE_NAMES[channel]} that was not sent is not stored. The link, the buttons and the data stay.</p>
    <${StillStopped} decided=${decided} />
    <${Form} button="Send" more=${html`<button type="button" onClick=${close}>Cancel</button>`} send=${(texts) => send({ ...others, title: texts.title, body: texts.body || null })}>
      <${Field} label="Title" name="title" defaultValue=${title} required maxlength="500" autocomplete="off" /><${Field} isLong class="words" label="Text" name="body" defaultValue=${body ?? ''} /><//>`;
}

/** A button that sends a failed message again. */
export const RetryMessage = ({ page, url, isPrimary = true }) => html`<${Confirm} isPrimary=${isPrimary} label="Retry the message" word="Retry" about="It is sent again, to the address that the recipient has now." act=${async () => {
  await request('POST', url);
  page.reload();
}} />`;

/** On the page of a recipient, the field is on the same page. */
const focusAddress = (event) => {
  const field = document.querySelector('main [name=email]');
  if (field) event.preventDefault();
  field?.focus();
};

const PROVIDERS = '/v1/providers/', MAX_BUTTONS = 2;
const isSetUp = ({ method, path: target }) => method === 'PUT' && target.startsWith(PROVIDERS);
const isRetry = ({ path: target }) => target.endsWith('/retry');
/** Whether a fix is always a link to the page where it is done. */
const isElsewhere = ({ path: target }) => /^\/v1\/(runs|types|preference-defaults)\b|\/(push-endpoints|test)$/.test(target) && !target.endsWith('/retry');
/** True for a request that corrects the address. Another attempt fails without it. */
const isCure = ({ method, path: target }) => method === 'PATCH' && /^\/v1\/recipients\/[^/]+$/.test(target);

/** A suggested request as a button. What can be undone is done at once, with Undo; the rest is confirmed, or is a link to its page. */
function Fix({ page, action, cure, linkClass, channels, recipient, type, tenant, messages }) {
  const link = (word, target, query = tenant, more = {}) => html`<a class=${linkClass} href=${withQuery(page.url(target), query)} ...${more}>${word}</a>`;
  const toAddress = (word) => link(word, path`/recipients/${recipient}`, { ...tenant, focus: 'address' }, { onClick: focusAddress });
  const { method, path: target } = action;
  if (isRetry(action) && page.may(CONTENT)) return html`<${RetryMessage} page=${page} url=${withQuery(target, tenant)} isPrimary=${action === cure} />`;
  const stopped = channels.find((one) => one.outcome === 'skip' && (one.rule === 'muted' || one.by === 'recipient'));
  if (target.endsWith('/preferences') && stopped && ['muted', 'channel', type && 'type'].includes(stopped.rule) && page.may(BUILDERS)) {
    const url = withQuery(target, tenant);
    return html`<${Undoable} word=${stopped.rule === 'muted' ? 'Unmute' : `Switch ${CHANNEL_NAMES[stopped.channel].toLowerCase()} on`} act=${async () => {
      const patches = switchOf(stopped, type, await get(url));
      if (!patches) throw new Error('The preferences have changed in the meantime. Refresh the page.');
      const change = async (patch) => {
        await request('PATCH', url, patch);
        preferenceChanges.value += 1;
        return null;
      };
      await change(patches[0]);
      return { done: 'Changed. It applies to the next notification.', undo: () => change(patches[1]) };
    }} />`;
  }
  const bounced = messages.find((one) => ['bounced', 'suppressed'].includes(one.state));
  const correct = channels.some((one) => one.state === 'bounced') && page.may(BUILDERS) && toAddress('Correct the address');
  if (target === '/v1/suppressions') return html`${correct}${bounced && page.may(BUILDERS) ? html`<${FreeAddress} message=${bounced} tenant=${tenant} />` : link('Find the suppressed address', '/suppressions')}`;
  const unaddressed = channels.find((one) => ['no_address', 'invalid_address'].includes(one.rule));
  const own = { email: ['email', 'E-mail address', 'email'], sms: ['phone', 'Phone number', 'tel'] }[unaddressed?.channel];
  if (method === 'PATCH' && target.startsWith('/v1/recipients/') && own && page.may(BUILDERS)) {
    const [name, label, kind] = own, url = withQuery(path`/v1/recipients/${recipient}`, tenant);
    return html`<${Undoable} form=${(set, first) => html`<${Form} isInline button="Set the address" send=${set}><${Field} ref=${first} label=${label} name=${name} type=${kind} required autocomplete="off" /><//>`} act=${async (values) => {
      const old = (await get(url))[name], { [name]: stored } = await request('PATCH', url, { [name]: values[name].trim() });
      page.reload();
      return { done: 'Set. It applies to the next notification.', undo: async () => {
        const now = (await get(url))[name];
        if (now === stored) await request('PATCH', url, { [name]: old });
        page.reload();
        if (now !== stored) throw new Error(`It has been changed in the meantime, to ${now ?? 'none'}, so nothing was undone.`);
      } };
    }} />`;
  }
  if (target.startsWith('/v1/providers/')) return method === 'PUT' ? html`<${SetUpProvider} isPrimary=${action === cure} page=${page} channel=${target.split('/').at(-1)} tenant=${tenant} />` : link('Test the provider', '/providers', {});
  if (target.startsWith('/v1/runs/')) return link('Open the run', target.slice('/v1'.length));
  if (target.startsWith('/v1/types/')) return link('Change the type', target.slice('/v1'.length));
  if (target.startsWith('/v1/preference-defaults')) return link('Change the defaults', '/preference-defaults');
  return toAddress(action.text.replace(/(,.*)?\.$/, ''));
}

const UTC_TIME = /(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC/;
/** A sentence of the server with its times as on other pages. */
export const withTimes = (text) => text.split(UTC_TIME).map((part, index) => (index % 2 ? html`<${Moment} at=${`${part.replace(' ', 'T')}Z`} />` : part));

/** A message that is being sent, such as after a retry, is looked at again after this time, at most this often. */
const POLL_MS = 2000, MAX_POLLS = 15;

/** The first fact of a notification. */
const SENT = ['accepted', 'created'];
/** When the last notification was sent. */
function LastSent({ facts }) {
  const last = facts.findLast(({ what, notification }) => notification && SENT.includes(what));
  return last ? html`The last notification was sent <${Time} at=${last.at} />.` : 'Nothing has been sent in the last 24 hours.';
}

/** Notifications of which the facts are shown; the list has all. */
const MAX_SHOWN = 3;

/** The facts of each notification, the newest first; those about no notification come last. */
function byNotification(facts) {
  const groups = new Map();
  for (const one of facts) groups.set(one.notification, [...groups.get(one.notification) ?? [], one]);
  return [...groups].reverse().sort(([one], [other]) => (one === null) - (other === null));
}

/** The title of the notification of which the outcome is shown: the newest one. */
const titleOf = (facts) => byNotification(facts)[0]?.[1].find(({ title }) => title)?.title;

/** The type of the notifications of a run. The run's workflow or version may have been deleted. */
async function typeOfRun(id, tenant, signal) {
  const { workflow, version } = await get(withQuery(path`/v1/runs/${id}`, tenant), signal);
  return (await get(withQuery(path`/v1/workflows/${workflow}`, { ...tenant, version }), signal)).type;
}

/** Explains the last notification to a recipient when the page opens, or the one in the URL, or what a type would do now. */
export function Explanation({ page, recipient, name, tenant }) {
  const notification = page.query.get('notification') ?? '';
  const [ofType, setType] = useState('');
  const type = notification ? '' : ofType;
  const run = notification || type ? '' : page.query.get('run') ?? '';
  const result = useLoad(async (signal) => ({ ...await get(withQuery('/v1/explain', { recipient, notification, run, type, ...tenant }), signal), type: type || (run && await typeOfRun(run, tenant, signal).catch(() => undefined)) }), [recipient, notification, run, type]);
  const polls = useRef(0);
  useEvery(POLL_MS, () => {
    if (polls.current >= MAX_POLLS || !result.value?.channels.some(({ state }) => state === 'queued' || state === 'sending')) return;
    polls.current += 1;
    result.reload();
  });
  const ask = async (values) => {
    setType(values.type.trim());
    setQuery({ notification: values.notification.trim() }, { isQuiet: true });
  };
  return html`<${Card} title="Why did it arrive, or not?"><div aria-live="polite"><${Loaded} of=${result}>${(value) => html`
    <${Verdict} page=${page} of=${value} recipient=${recipient} name=${name} title=${titleOf(value.facts)} type=${value.type || value.facts.findLast((one) => one.type)?.type} tenant=${tenant} />
    ${value.channels.length > 0 && value.presence && html`<p class="muted"><${LastSent} facts=${value.facts} /> ${withTimes(value.presence)}</p>`}
    ${byNotification(value.facts).filter(([id], index) => !id || index < MAX_SHOWN).map(([id, facts]) => html`<details key=${id}><summary dir="auto">${id ? facts[0].title || id : 'Connections and refused requests'} <small><${Time} at=${facts[0].at} /></small></summary>
      ${id && html`<p><a href=${withQuery(page.url(path`/notifications/${id}`), tenant)}>Open the notification</a></p>`}
      <ol class="rows-of">${facts.map((one, index) => html`<li key=${index}>${one.text}<${Time} at=${one.at} /></li>`)}</ol></details>`)}`}<//></div>
    <details><summary>Ask about another notification or a type</summary><${Form} button="Explain" send=${ask}><div class="columns">
      <${Field} label="Notification" name="notification" defaultValue=${notification} autocomplete="off" spellcheck=${false} hint="The id of a notification. Leave both fields empty for the last one." />
      <${Field} label="Type" name="type" autocomplete="off" hint="Explains what would happen now to a notification of this type." /></div><//></details><//>`;
}
