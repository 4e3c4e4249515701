/**
 * The menus of the editor: add a step, its actions, and starters.
 */
import { html, useLayoutEffect, useRef, useState } from './html.js';
import { Icon } from './parts.js';
import { TYPES, typeOf } from './workflow-model.js';

/** Space around a panel, in px. */
const GAP = 8;

/** A panel beside an element of the canvas. */
export function Floating({ anchor, label, role, close, children }) {
  const panel = useRef(null);
  useLayoutEffect(() => {
    const { style } = panel.current;
    const { left, right, bottom, top } = anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = panel.current;
    const isBelow = bottom + height + GAP <= innerHeight, bar = document.querySelector('.editor-bar').getBoundingClientRect().bottom;
    // Without room below, beside: what is added to stays visible.
    const beside = right + width + 2 * GAP <= innerWidth ? right + GAP : left - width - GAP;
    style.left = `${Math.max(GAP, Math.min(isBelow ? left : beside, innerWidth - width - GAP))}px`;
    style.top = `${isBelow ? bottom + 6 : Math.max(bar + GAP, Math.min(top, innerHeight - height - GAP))}px`;
    panel.current.querySelector('input, button')?.focus();
    const outside = ({ target }) => { if (!panel.current?.contains(target)) close(); };
    document.addEventListener('pointerdown', outside, true);
    return () => document.removeEventListener('pointerdown', outside, true);
  }, []);
  return html`<div class="floating" role=${role} aria-label=${label} ref=${panel} onKeyDown=${(event) => {
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close(true);
  }}>${children}</div>`;
}

/** The list of types of steps, with a filter. */
export function TypeMenu({ anchor, after, schema, choose, paste, close }) {
  const [text, setText] = useState('');
  const [active, setActive] = useState(0);
  const shown = Object.entries(TYPES).filter(([type, { text: words }]) => `${type} ${schema.$defs[type]?.title} ${words}`.toLowerCase().includes(text.toLowerCase()));
  const current = Math.min(active, shown.length - 1);
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setActive(Math.max(0, Math.min(shown.length - 1, current + step)));
    } else if (event.key === 'Enter' && shown[current]) {
      event.preventDefault();
      event.stopPropagation();
      choose(shown[current][0]);
    }
  };
  return html`<${Floating} anchor=${anchor} label="Add a step" role="dialog" close=${close}>
    <input class="type-filter" role="combobox" aria-expanded="true" aria-controls="step-types" aria-label="Type of the step" aria-activedescendant=${shown[current] ? `type-${shown[current][0]}` : null} placeholder=${after ? `Add after ${after}` : 'Add a step'} autoComplete="off" value=${text} onInput=${(event) => { setText(event.currentTarget.value); setActive(0); }} onKeyDown=${keys} />
    <div class="type-list" role="listbox" id="step-types" aria-label="Types of steps">${shown.map(([type, { icon, tone, text: words }], index) => html`<div key=${type} id=${`type-${type}`} class="type-option" role="option" aria-selected=${String(index === current)} data-type=${type} onPointerMove=${() => setActive(index)} onClick=${() => choose(type, true)} ref=${(node) => index === current && node?.scrollIntoView({ block: 'nearest' })}>
      <span class=${`step-icon tone-${tone}`}><${Icon} name=${icon} /></span><span><b>${schema.$defs[type]?.title ?? type}</b><small>${words}</small></span></div>`)}
      ${shown.length === 0 && html`<p class="muted">No type has this name.</p>`}</div>
    ${paste && html`<button type="button" class="quiet type-paste" onClick=${paste}>Paste the copied step</button>`}<//>`;
}

/** The menu of a step. */
export function ActionMenu({ anchor, label, actions, close }) {
  const keys = (event) => {
    const items = [...event.currentTarget.querySelectorAll('button')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  };
  return html`<${Floating} anchor=${anchor} label=${label} role="menu" close=${close}><div onKeyDown=${keys} role="presentation">${actions.map(([word, shortcut, act, kind]) => html`<button key=${word} type="button" role="menuitem" class=${`menu-item ${kind ?? ''}`} onClick=${() => { close(true); act(); }}><span>${word}</span>${shortcut && html`<kbd aria-hidden="true">${shortcut}</kbd>`}</button>`)}</div><//>`;
}

const STARTERS = [
  ['Notify', 'A notification in the bell', [{ key: 'bell', type: 'inbox', title: 'New booking by {{ data.client }}' }]],
  ['Remind by e-mail', 'Bell; an e-mail if it is not read within two hours', [
    { key: 'bell', type: 'inbox', title: 'New booking by {{ data.client }}' },
    { key: 'unread', type: 'wait_for', step: 'bell', event: 'read', timeout: '2h', on_match: 'stop', on_timeout: 'continue' },
    { key: 'mail', type: 'email', subject: 'New booking', text: '{{ data.client }} booked.' },
  ]],
  ['Remind before a time', 'Bell; two hours before, an e-mail unless it is read, then an SMS', [
    { key: 'bell', type: 'inbox', title: 'Appointment with {{ data.client }}' },
    { key: 'before', type: 'delay', until: { var: 'data.starts_at' }, offset: '-2h' },
    { key: 'mail', type: 'email', subject: 'Your appointment', text: 'Today at {{ data.starts_at | time }} with {{ data.client }}.', if: { var: 'steps.bell.read_at', op: 'empty' } },
    { key: 'later', type: 'delay', for: '30m' },
    { key: 'sms', type: 'sms', text: 'Your appointment with {{ data.client }} is at {{ data.starts_at | time }}.', if: { var: 'steps.bell.read_at', op: 'empty' } },
  ]],
  ['Collect', 'One e-mail for everything of an hour', [
    { key: 'digest', type: 'digest', window: '1h' },
    { key: 'mail', type: 'email', subject: '{{ digest.count }} new bookings', text: '{% for one in digest.items %}{{ one.client }}\n{% endfor %}' },
  ]],
];

/** The steps of a starter by its title; undefined if there is none. */
export const stepsOfStarter = (title) => structuredClone(STARTERS.find(([name]) => name === title)?.[2]);

/** The starters with their steps as pictures. */
export const PATTERNS = STARTERS.map(([title, text, steps]) => ({ title, text, picture: steps.map((step) => html`<span key=${step.key} class=${`step-icon tone-${typeOf(step).tone}`}><${Icon} name=${typeOf(step).icon} /></span>`) }));
