/**
 * Parts of rows and pages of objects: rows of two lines, recipients of sends, variables in texts, channels, and the headline of a page.
 */
import { Person } from './caller.js';
import { html } from './html.js';
import { loadStyle } from './load.js';
import { CHANNEL_NAMES } from './outcomes.js';
import { Copy, Icon, Popup, State, Tag, withWholeWords } from './parts.js';
import { Named } from './recipient-names.js';
import { typeOf } from './workflow-model.js';

await loadStyle('object-parts.css');

/** A value with a note below it; on a narrow list, only one that `isKept` is beside it. */
export const Lines = ({ of, note, isKept = false }) => html`<span class=${isKept ? 'two-lines kept' : 'two-lines'}><span>${of}</span>${note && html`<small>${note}</small>`}</span>`;

const publisherOf = ({ published_by: by }) => by && `Published by ${by === 'project secret' ? 'your server' : by}`;
/** The version of an object, whether it has a draft, and who published or saved it. */
export const VERSION = { name: 'Version', kind: 'number', isLabeled: false, of: (one) => html`<span title=${one.draft ? `Draft of ${one.draft.by}` : publisherOf(one)}><${Lines} isKept of=${one.version === 0 ? 'draft' : `v${one.version}`} note=${one.version > 0 && one.draft && 'draft'} /></span>`, width: '4rem' };

/** A state in a row that begins with the sign of its object. */
export const stated = (value) => html`<${State} of=${value} />`;

/** The sign of an object before its name. */
export const Sign = ({ icon, tone }) => html`<span class=${`avatar sign tone-${tone}`} aria-hidden="true"><${Icon} name=${icon} /></span>`;
/** The sign of a channel, and a channel by its sign and its name. */
export const ChannelSign = ({ of }) => html`<${Sign} icon=${typeOf({ type: of }).icon} tone=${typeOf({ type: of }).tone} />`;
export const Channel = ({ of, children }) => html`<span class="person"><${ChannelSign} of=${of} /><span class="name">${CHANNEL_NAMES[of]}${children}</span></span>`;

/** Words as tags: the first ones, fewer on a narrow list, and how many follow. */
export const Tags = ({ of, max = of.length, few = max }) => html`<span class="tags">${of.slice(0, max).map((one, at) => html`<span key=${one} class=${at < few ? 'tag' : 'tag left-out'}>${one}</span>`)}${of.length > few && html`<span class="tag left-out-count">+${of.length - few}</span>`}${of.length > max && html`<span class="tag left-out">+${of.length - max}</span>`}</span>`;

/** A text with its variables by their last names: `Tomorrow: {{ data.customer }}` has the tag “customer”. */
export const teaser = (text) => text?.split(/\{\{-?\s*(.*?)\s*-?\}\}|\{%.*?%\}/s).map((part, index) => (index % 2 === 0 ? part : part && html`<${Tag}>${part.split('|')[0].trim().split('.').pop()}<//>`));

const AUDIENCES = { topic: 'topics', role: 'operators', tenant: 'tenants', all: 'recipients' };
/** The kind of an audience, and its words. */
const audienceOf = (of) => {
  const kind = Object.keys(AUDIENCES).find((one) => of[one] && one !== 'tenant') ?? (of.tenant ? 'tenant' : 'all');
  return [kind, { tenant: 'the whole tenant', all: 'everyone' }[kind] ?? `${kind} ${of[kind]}`];
};
/** To whom something is sent: a recipient, by name if the `tenant` is known, a variable, or an audience. */
export function To({ of, tenant }) {
  if (typeof of === 'string') return of.includes('{{') ? teaser(of) : tenant === undefined ? html`<${Person} name=${of} />` : html`<${Named} of=${{ tenant, recipient: of }} />`;
  if (of.var !== undefined) return html`<${Tag}>${of.var.split('.').pop() || 'a variable'}<//>`;
  if (Array.isArray(of)) return of.length === 1 ? html`<${To} of=${of[0]} tenant=${tenant} />` : `${of.length} recipients`;
  const [kind, words] = audienceOf(of);
  return html`<span class="person"><${Icon} name=${AUDIENCES[kind]} /><span class="name">${words}</span></span>`;
}

/** Whether recipients of a type cannot turn off a channel. */
export const isRequired = ({ required }, channel) => required === true || [required || []].flat().includes(channel);

/** The channels of a type: those that are off before a recipient chooses are pale, those that recipients cannot turn off have a lock. */
export function ChannelMarks({ of }) {
  const { channels, defaults } = of;
  const wordsOf = (channel) => `${CHANNEL_NAMES[channel]}${isRequired(of, channel) ? ', required' : defaults?.[channel] === false ? ', off by default' : ''}`;
  const all = (channels ?? []).map((one) => one.channel ?? one);
  return html`<span class="channel-marks" role="img" aria-label=${all.map(wordsOf).join('; ')}>${all.map((channel) => html`<span key=${channel} title=${wordsOf(channel)} class=${`avatar tone-${typeOf({ type: channel }).tone}${defaults?.[channel] === false && !isRequired(of, channel) ? ' off' : ''}`}><${Icon} name=${typeOf({ type: channel }).icon} />${isRequired(of, channel) && html`<span class="lock"><${Icon} name="lock" /></span>`}</span>`)}</span>`;
}

/** What an object does, or why it fails, as the first sentence of its page. Without a kind, it is no state, and has an `icon` of its own. */
export const Headline = ({ kind, icon = kind, children, note, fixes }) => html`<section class=${`verdict ${kind ?? 'info'}`} aria-label=${kind ? 'State' : 'Summary'}>${icon && html`<${Icon} name=${icon} />`}<div><h2 dir="auto">${withWholeWords(children)}</h2>${note && html`<p class="text" dir="auto">${note}</p>`}${fixes && html`<div class="fixes">${fixes}</div>`}</div></section>`;

/** What is seldom done with an object, as a menu beside its buttons. It closes when a button of it is pressed. */
export const More = ({ of, children }) => [children].flat(Infinity).some(Boolean) && html`<span class="acting"><${Popup} label=${`More for ${of}`} button=${html`<${Icon} name="more" />`}>${(close) => html`<div class="options" onClick=${close}>${children}</div>`}<//></span>`;

/** A secret that is shown once, with a button that copies it, and what else is shown with it. */
export const ShownOnce = ({ what, secret, children }) => html`<div class="notice once" aria-live="polite"><p>Copy ${what} now: it is not shown again.</p><div class="secret"><code>${secret}</code><${Copy} what=${what} text=${secret} /></div>${children}</div>`;
