/**
 * A notification as a row of the bell, and the choice of its icon.
 */
import { html } from './html.js';
import { loadStyle } from './load.js';
import { teaser } from './object-parts.js';
import { Icon, Time, Type } from './parts.js';

await loadStyle('bell-row.css');

/** The built-in icons of notifications, by their names in the API. */
const SHAPES = {
  alert: 'M12 7.5v5.5M12 16.5v.01M12 3a9 9 0 1 0 .01 0',
  lock: 'M6 11h12v8.5H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  payment: 'M3.5 6h17v12h-17zM3.5 10h17M7 14.5h3.5',
  comment: 'M4 5h16v11h-8.5L7 19.5V16H4z',
  calendar: 'M4.5 6h15v13.5h-15zM4.5 10.5h15M8.5 3.5V8M15.5 3.5V8',
  package: 'M12 3.5 20 8v8.5l-8 4-8-4V8zM4 8l8 4 8-4M12 12v8.5',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 1 0 0 8M4.5 20.5a7.5 7.5 0 0 1 15 0',
  document: 'M6 3.5h8L18.5 8v12.5H6zM14 3.5V8h4.5M9 12.5h6.5M9 16.5h6.5',
};
/** The longest emoji, a family, has 11 units of UTF-16. */
const MAX_EMOJI = 11;
const isEmoji = (text) => text.length <= MAX_EMOJI && /^\p{Extended_Pictographic}/u.test(text);

const Shape = ({ of }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${SHAPES[of]} /></svg>`;
/** The icon of a row. The picture of an address is not loaded. */
const RowIcon = ({ of = '' }) => (of in SHAPES ? html`<${Shape} of=${of} />` : isEmoji(of) ? of : html`<${Icon} name="notifications" />`);

/** What the bell shows of a notification, with its variables as tags unless it was sent (`at`); the example while it has no title. */
export const BellRow = ({ of: { title, body, icon, type, action_text: action }, at, example = 'Title', textOf = at ? (text) => text : teaser }) => html`<div class="bell-row"><span class="avatar tone-0"><${RowIcon} of=${icon ?? undefined} /></span><div><b dir="auto">${title ? textOf(title) : html`<span class="muted">${example}</span>`}</b>${body && html`<p dir="auto">${textOf(body)}</p>`}${action && html`<p class="bell-link">${textOf(action)}</p>`}<small class="muted">${type && html`<${Type} of=${type} /> `}${at ? html`<${Time} at=${at} />` : 'now'}</small></div></div>`;

/** The built-in icons as buttons. A second press of the one that is chosen removes it. */
export const IconChoice = ({ value, choose }) => html`<div class="icon-choice" role="group" aria-label="Built-in icons">${Object.keys(SHAPES).map((one) => html`<button key=${one} type="button" class="quiet" aria-label=${one} title=${one} aria-pressed=${String(one === value)} onClick=${() => choose(one === value ? undefined : one)}><${Shape} of=${one} /></button>`)}</div>`;
