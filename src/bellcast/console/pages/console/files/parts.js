/**
 * Components of all pages: headings, states, times, types, people, buttons and popups.
 */
import { Copy } from './clipboard.js';
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from './html.js';
import { dayName, fullTime, hourOf, inShell, initials, relativeTime, toneOf } from './format.js';
import { Icon } from './icons.js';
import { Loaded, Skeleton } from './load.js';
import { shownTenant } from './router.js';
import { me } from './session.js';
import { Tenant } from './tenant-names.js';

export { Copy, Icon };

/** A text in which “e-mail” stays on one line; another value as it is. */
export const withWholeWords = (text) => (typeof text === 'string' && /e-mail/i.test(text) ? text.split(/(e-mails?)/i).map((part, index) => (index % 2 ? html`<span style=${{ whiteSpace: 'nowrap' }}>${part}</span>` : part)) : text);

/** The heading of a page, with its buttons. */
export const Heading = ({ before, title, note, children }) => html`<header class="heading"><div class="titles">${before}<h1 tabIndex="-1" dir="auto">${withWholeWords(title)}</h1>${note}</div><div class="tools">${children}</div></header>`;

/** The page of an object, by `children`, or that it is read, or why it cannot be. */
export function Opening({ page, of, children }) {
  const title = html`<${Heading} title=${of.problem?.status === 404 || /^[0-9a-f]{8}[-0-9a-f]{8}/.test(page.key) ? page.title.replace(/s$/, '') : page.key} />`;
  return html`${of.value === undefined && of.problem && title}<${Loaded} of=${of} skeleton=${html`${!of.problem && title}<${Skeleton} />`}>${children}<//>`;
}

export const Card = ({ title, children }) => html`<section class="panel">${title && html`<h2>${title}</h2>`}${children}</section>`;

/** A definition list without empty values. A tenant is shown by its name. */
export const Facts = ({ of }) => html`<dl class="facts">${of.filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false)
  .map(([term, value]) => html`<div key=${term}><dt>${term}</dt><dd dir="auto">${term === 'Tenant' ? html`<${Tenant} of=${value} />` : value}</dd></div>`)}</dl>`;

export const Json = ({ of, what = 'the JSON' }) => html`<${Snippet} what=${what} of=${JSON.stringify(of, null, 2)} />`;

/** A time relative to now, with the exact time as its tooltip. Below the heading of its day (`isInDay`), another day is not repeated. */
export const Time = ({ at, isInDay = false }) => (at ? html`<time dateTime=${at} title=${fullTime(at)}>${isInDay && dayName(at) !== 'Today' ? hourOf(at) : relativeTime(at)}</time>` : html`<span class="muted">–</span>`);
/** An exact time with its zone. */
export const Moment = ({ at }) => at && html`<time dateTime=${at} title=${at}>${fullTime(at)}</time>`;

const KINDS = {
  ok: ['ok', 'connected', 'delivered', 'sent', 'completed', 'active', 'ready', 'accepted', 'done', 'send', 'read'],
  bad: ['failed', 'failing', 'unreadable', 'bounced', 'permanent', 'revoked', 'not ready', 'problem', 'error', 'forbidden', 'unauthenticated', 'internal', 'dead'],
  warn: ['warning', 'temporary', 'throttled', 'overridden'],
  wait: ['held', 'queued', 'sending', 'waiting', 'running', 'paused'],
  open: ['seen', 'pending'], unseen: ['unseen', 'unread'],
};
const KIND_OF = Object.fromEntries(Object.entries(KINDS).flatMap(([kind, words]) => words.map((word) => [word, kind])));
/** How a state is shown: ok, wait, warn, bad or info. */
export const kindOf = (word) => KIND_OF[word] ?? 'info';

/** A state as an icon and a word, so that it is not shown by colour alone. */
export const State = ({ of, kind = kindOf(of) }) => html`<span class=${`state ${kind}`}><${Icon} name=${kind} /><span class="state-word">${of}</span></span>`;

/** A type of notification in its own colour. */
export const Type = ({ of }) => of && html`<span class=${`chip tone-${toneOf(of)}`}>${of}</span>`;
export const Tag = ({ children }) => html`<span class="tag">${children}</span>`;

/** The initials of a person or a tenant, in the colour of its key, or an icon. */
export const Avatar = ({ of, name = of, icon, tone = toneOf(of) }) => html`<span class=${`avatar tone-${tone}`} aria-hidden="true">${icon ? html`<${Icon} name=${icon} />` : initials(name)}</span>`;

/** An id in monospace with a button that copies it. */
export const Id = ({ of }) => (of ? html`<span class="id"><code>${of}</code><${Copy} what=${of} text=${of} /></span>` : html`<span class="muted">–</span>`);

/** A command with the server's data folder, if it needs one, in which it finds the address and the secret. */
export const inTerminal = (command) => (me.value?.data_folder && command.startsWith('bellcast ') ? `BELLCAST_DATA=${inShell(me.value.data_folder)} ${command}` : command);

/** What is missing, what it is for, and how to create one: a button, or by terminal, for the tenant that is shown. The first sentence of the text is its headline. */
export function Empty({ icon, text, command, children }) {
  const [headline, ...explanation] = text.split(/(?<=\.) /), tenant = shownTenant();
  const line = command && (tenant && command.startsWith('bellcast ') && !command.includes(' --tenant ') ? `${command} --tenant ${inShell(tenant)}` : command);
  return html`<div class="empty">
  ${icon && html`<span class=${`drawing ${icon}`}><${Icon} name=${icon} /></span>`}<p class="big"><b>${withWholeWords(headline.replace(/\.$/, ''))}</b></p>${explanation.length > 0 && html`<p class="muted">${withWholeWords(explanation.join(' '))}</p>`}${children}
  ${command && html`<div class="terminal">${command.startsWith('<') ? 'In your page' : children ? 'Or by terminal' : 'By terminal'}<${Snippet} of=${line} copied=${inTerminal(line)} /></div>`}
</div>`;
}
/** Names what a copied command has beside the one that is shown, such as the data folder. */
export const copiedWith = (copied, of) => (copied !== of ? `Copied with ${copied.split(' bellcast ')[0]}` : null);
/** The options of a command, which break at no hyphen. */
const withOptions = (of) => of?.split(/(?<=\s)(--?\w[\w-]*)/).map((part, index) => (index % 2 ? html`<span style=${{ whiteSpace: 'nowrap' }}>${part}</span>` : part));
/** A command or a line of code. */
export const Snippet = ({ of, copied = of, what = 'the example' }) => html`<div class="snippet"><pre tabIndex="0"><code>${withOptions(of)}</code></pre><${Copy} what=${what} text=${copied} title=${copiedWith(copied, of)} /></div>`;

/** A text in which parts between backticks are code. */
export const prose = (text) => text.split('`').map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));

/** A text with code, in which a setting with its value can be copied. */
export const withSettings = (text) => text.split(/(BELLCAST_\w+=[^\s,;]+)/).map((part, index) => (index % 2 ? html`<${Id} of=${part} />` : prose(part)));

/** Space between a button and what it opens, and between that and the edge of the window, in px. */
const GAP = 4, MARGIN = 8;

/**
 * A button that opens a panel above the page. Escape and a click elsewhere close it, and the focus returns. `children` gets a
 * function that closes it. `hasText`: the button needs no other name. `escaped` is called when Escape has closed what the pointer opened. */
export function Popup({ button, label, hasText = false, class: name = '', buttonClass, isStart = false, escaped, children, ...attributes }) {
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const opener = useRef(null);
  const panel = useRef(null);
  const isByPointer = useRef(false);
  const place = ({ newState }) => {
    if (newState !== 'open') return;
    const { style } = panel.current, { top, left, right, bottom } = opener.current.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const isLow = bottom > clientHeight * 0.6;
    style.marginInline = '';
    style.maxHeight = `min(26rem, ${(isLow ? top : clientHeight - bottom) - GAP - MARGIN}px)`;
    Object.assign(style, isStart ? { left: `${left}px`, right: 'auto' } : { right: `${clientWidth - right}px`, left: 'auto' });
    Object.assign(style, isLow ? { top: 'auto', bottom: `${clientHeight - top + GAP}px` } : { top: `${bottom + GAP}px`, bottom: 'auto' });
  };
  // Beside a button at the edge of a small window, it stays within the window.
  useLayoutEffect(() => {
    const { left, right } = panel.current.getBoundingClientRect();
    if (isOpen && (left < MARGIN || right > innerWidth - MARGIN)) Object.assign(panel.current.style, { left: `${MARGIN}px`, right: `${MARGIN}px`, marginInline: left < MARGIN ? '0 auto' : 'auto 0' });
  }, [isOpen]);
  useEffect(() => { if (isOpen) (panel.current.querySelector('input, [aria-current]') ?? panel.current.querySelector('button:not(:disabled), a'))?.focus(); }, [isOpen]);
  // A press of Escape closes the panel only, not the object below it.
  const escape = (event) => {
    if (event.key !== 'Escape' || !isOpen) return;
    event.preventDefault();
    event.stopPropagation();
    panel.current.hidePopover(); // focuses what had the focus when it was opened, also by a shortcut
    if (document.activeElement === document.body) opener.current.focus();
    if (isByPointer.current) escaped?.();
  };
  const leave = ({ relatedTarget }) => relatedTarget && !panel.current?.contains(relatedTarget) && relatedTarget !== opener.current && panel.current?.hidePopover();
  return html`<span class="popup" onKeyDown=${escape}><button type="button" ref=${opener} class=${buttonClass} aria-label=${hasText ? null : label} aria-expanded=${String(isOpen)} popoverTarget=${id} onClick=${({ detail }) => { isByPointer.current = detail > 0; }} ...${attributes}>${button}</button><div
    id=${id} ref=${panel} popover="auto" class=${`popup-panel ${name}`} role="group" aria-label=${label} onBeforeToggle=${place} onToggle=${({ newState }) => setOpen(newState === 'open')} onFocusOut=${leave}>
    ${isOpen && children(() => panel.current?.hidePopover())}</div></span>`;
}

const pressed = new WeakSet();
/** The handler of a button that acts once: the second click of a double click does nothing, nor does a press while it acts. */
export const once = (act) => async ({ detail, currentTarget: button }) => {
  if (detail > 1 || pressed.has(button)) return;
  pressed.add(button);
  try {
    await act();
  } finally {
    pressed.delete(button);
  }
};

/** One of several values to choose from. */
export const Option = ({ isChosen, choose, icon, children }) => html`<button type="button" class="option" aria-current=${isChosen ? 'true' : null} onClick=${choose}>${icon && html`<${Icon} name=${icon} />`}<span>${children}</span>${isChosen && html`<${Icon} name="check" />`}</button>`;
