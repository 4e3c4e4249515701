/**
 * The dialogs of the editor: add a step, its actions, review and publish, a conflict, and starters.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Difference } from './difference.js';
import { relativeTime } from './format.js';
import { Icon } from './parts.js';
import { toYaml } from './yaml.js';
import { TYPES, differencesOf } from './workflow-model.js';
import { valuesOf } from './workflow-draft.js';

/** A modal dialog while it is rendered. */
export function Dialog({ label, close, isWide, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const last = document.activeElement;
    dialog.current.showModal();
    return () => last?.focus?.();
  }, []);
  return html`<dialog class=${`editor-dialog ${isWide ? 'wide' : ''}`} aria-label=${label} ref=${dialog} onCancel=${(event) => { event.preventDefault(); close(); }} onKeyDown=${(event) => event.stopPropagation()}
    onClick=${(event) => { if (event.target === dialog.current) close(); }}><div class="dialog-body"><h2>${label}</h2>${children}</div></dialog>`;
}

/** A panel beside an element of the canvas. */
export function Floating({ anchor, label, role, close, children }) {
  const panel = useRef(null);
  useLayoutEffect(() => {
    const { style } = panel.current;
    const { left, bottom, top } = anchor.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = panel.current;
    style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
    style.top = `${bottom + height + 8 > innerHeight ? Math.max(8, top - height - 6) : bottom + 6}px`;
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
export function TypeMenu({ anchor, schema, choose, paste, close }) {
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
    <input class="type-filter" role="combobox" aria-expanded="true" aria-controls="step-types" aria-label="Type of the step" aria-activedescendant=${shown[current] ? `type-${shown[current][0]}` : null} placeholder="Add a step" autoComplete="off" value=${text} onInput=${(event) => { setText(event.currentTarget.value); setActive(0); }} onKeyDown=${keys} />
    <div class="type-list" role="listbox" id="step-types" aria-label="Types of steps">${shown.map(([type, { icon, tone, text: words }], index) => html`<div key=${type} id=${`type-${type}`} class="type-option" role="option" aria-selected=${String(index === current)} data-type=${type} onPointerMove=${() => setActive(index)} onClick=${() => choose(type)} ref=${(node) => index === current && node?.scrollIntoView({ block: 'nearest' })}>
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

const SIGNS = { added: ['+', 'ok'], removed: ['−', 'bad'], moved: ['↕', 'info'], changed: ['~', 'warn'] };
/** What differs, by step. */
export const StepDiff = ({ changes }) => html`<ul class="step-diff">${changes.map(([kind, key, detail]) => html`<li key=${kind + key + detail} data-change=${kind}><span class=${`diff-sign ${SIGNS[kind][1]}`} aria-hidden="true">${SIGNS[kind][0]}</span><b>${key}</b> <span class="muted">${kind} ${detail}</span></li>`)}</ul>`;

/** Review the draft, and publish it. */
export function Review({ draft, close, done }) {
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const note = useRef(null);
  const load = () => draft.publish(null, true).then((found) => { setPlan(found); setProblem(null); }, setProblem);
  useEffect(() => { load(); }, []);
  const before = draft.current.value ? valuesOf(draft.current.value) : {};
  const changes = draft.changes.value;
  const publish = async () => {
    setBusy(true);
    try {
      const one = await draft.publish(note.current.value.trim(), false);
      done(`Published as version ${one.version}`);
      close();
    } catch (failed) {
      setProblem(failed);
    }
    setBusy(false);
  };
  const isStale = problem?.status === 409;
  return html`<${Dialog} label=${draft.current.value ? `Publish version ${(draft.current.value.version ?? 0) + 1}` : 'Publish'} close=${close} isWide>
    ${changes.length > 0 && html`<${StepDiff} changes=${changes} />`}
    <details class="yaml-diff" open=${changes.length === 0}><summary>YAML</summary><${Difference} before=${draft.current.value ? toYaml(before) : ''} after=${toYaml(draft.values.value)} /></details>
    ${plan?.effects.length > 0 && html`<div class="effects"><h3>What changes for recipients and apps</h3><ul>${plan.effects.map((one) => html`<li key=${one.code} data-effect=${one.code}>${one.text}</li>`)}</ul></div>`}
    ${problem && html`<p class="error" role="alert">${problem.message}</p>`}
    ${isStale && html`<p><button type="button" onClick=${() => draft.rebase().then(load, setProblem)}>Compare with the current version</button></p>`}
    <div class="form-field"><div class="form-label"><label for="publish-note">Note</label></div><textarea id="publish-note" ref=${note} rows="2" maxLength="500" placeholder="Why? Shown in the list of versions."></textarea></div>
    <div class="dialog-tools"><button type="button" onClick=${close}>Cancel</button><button type="button" class="primary" disabled=${isBusy || plan === null || isStale} onClick=${publish}>Publish</button></div><//>`;
}

/** Two editors have changed the draft. */
export function ConflictDialog({ draft }) {
  const [isComparing, setComparing] = useState(false);
  const { draft: found } = draft.theirs.value;
  return html`<${Dialog} label="Changed in the meantime" close=${() => {}} isWide=${isComparing}>
    <p>${found.by ? `${found.by} saved this draft ${found.updated_at ? relativeTime(found.updated_at) : ''} while you were editing.` : 'The draft was published or discarded while you were editing.'} Your changes are kept in this tab.</p>
    ${isComparing && html`<${StepDiff} changes=${differencesOf(found.values, draft.values.value)} /><${Difference} before=${toYaml(found.values)} after=${toYaml(draft.values.value)} />`}
    <div class="dialog-tools">${!isComparing && html`<button type="button" onClick=${() => setComparing(true)}>Compare</button>`}<button type="button" onClick=${draft.takeTheirs}>Take theirs</button><button type="button" class="primary" onClick=${draft.keepMine}>Keep mine</button></div><//>`;
}

const STARTERS = [
  ['Notify', 'A notification in the bell', 'notifications', [{ key: 'bell', type: 'inbox', title: 'New booking by {{ data.client }}' }]],
  ['Remind by e-mail', 'Bell; an e-mail if it is not read within two hours', 'messages', [
    { key: 'bell', type: 'inbox', title: 'New booking by {{ data.client }}' },
    { key: 'unread', type: 'wait_for', step: 'bell', event: 'read', timeout: '2h', on_match: 'stop', on_timeout: 'continue' },
    { key: 'mail', type: 'email', subject: 'New booking', text: '{{ data.client }} booked.' },
  ]],
  ['Collect', 'One e-mail for everything of an hour', 'digest', [
    { key: 'digest', type: 'digest', window: '1h' },
    { key: 'mail', type: 'email', subject: '{{ digest.count }} new bookings', text: '{% for one in digest.items %}{{ one.client }}\n{% endfor %}' },
  ]],
];

/** What an empty workflow can begin with. */
export const Starters = ({ start, add }) => html`<div class="starters"><h2>Start with</h2><div class="starter-list">${STARTERS.map(([title, text, icon, steps]) => html`<button key=${title} type="button" class="starter" onClick=${() => start(structuredClone(steps))}><${Icon} name=${icon} /><b>${title}</b><span>${text}</span></button>`)}</div><button type="button" class="quiet" onClick=${add}><${Icon} name="plus" /> Or add a first step</button></div>`;
