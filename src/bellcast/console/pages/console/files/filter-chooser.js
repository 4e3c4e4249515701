/**
 * The menu of a filter: choose the filter, then its value, with suggestions. And the form of a new view.
 */
import { MAX_SUGGESTED, TYPING_MS, beginOf, wordOf } from './filters.js';
import { Field, Form } from './form.js';
import { html, useEffect, useSignal } from './html.js';
import { Avatar, Option } from './parts.js';

/** The icons of filters, by their names; the others have that of their list. */
const ICONS = { channel: 'messages', tag: 'types', range: 'schedules', state: 'ok', status: 'ok', step: 'branch', step_state: 'ok', kind: 'failures', node: 'providers', protocol: 'connections', route: 'requests', trigger: 'playground', search: 'search', prefix: 'search' };

/** @param {{filters: any[], initial?: any, rows: any[], apply: (name: string, value: string) => void}} of `initial` is the filter whose value is chosen */
export function Chooser({ filters, initial = null, rows, apply }) {
  const field = useSignal(initial), text = useSignal(''), suggested = useSignal([]);
  const filter = field.value, typed = text.value.trim();
  useEffect(() => {
    suggested.value = [];
    if (!filter?.suggest) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        suggested.value = await filter.suggest(typed, abort.signal);
      } catch {
        // Any text is accepted.
      }
    }, typed ? TYPING_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [filter, typed]);
  const names = Object.fromEntries(suggested.value.map(({ key, name }) => [key, name])), nameOf = (one) => names[one] || wordOf(filter, one);
  const matches = (value) => value.toLowerCase().includes(typed.toLowerCase());
  const own = filter && !filter.options ? rows.map((one) => (filter.of ?? ((row) => row[filter.name]))(one)).flat().filter((one) => typeof one === 'string' && one) : [];
  const values = filter ? (filter.options ?? [...new Set([...own, ...Object.keys(names)])].sort()).filter((one) => one !== typed && (matches(wordOf(filter, one)) || matches(nameOf(one)) || one in names)) : [];
  // The first option is the one that Enter chooses.
  const options = filter ? [...(typed && (!filter.options || filter.options.includes(typed)) ? [typed] : []), ...values].slice(0, MAX_SUGGESTED) : filters.filter(({ label }) => matches(label));
  const choose = (one) => {
    if (one === undefined) return;
    if (filter) apply(filter.name, one);
    else {
      field.value = one;
      text.value = '';
    }
  };
  const move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    // The first option is active while the focus is in the field.
    const stops = [...event.currentTarget.querySelectorAll('input, .option')], at = stops.indexOf(document.activeElement);
    stops[(at + (at === 0 && step > 0 && stops.length > 2 ? 2 : step) + stops.length) % stops.length].focus();
  };
  return html`<div class="chooser" onKeyDown=${move}><form onSubmit=${(event) => {
    event.preventDefault();
    choose(options[0]);
  }}><input aria-label=${filter?.label ?? 'Filter by'} placeholder=${filter ? `${beginOf(filter)} …` : 'Filter by …'} autocomplete="off" value=${text.value} ref=${(one) => one?.focus()} onInput=${(event) => { text.value = event.currentTarget.value; }} /></form>
    <div class="options">${options.map((one) => (filter ? html`<button key=${one} type="button" class="option" onClick=${() => choose(one)}>${filter.name === 'recipient' && html`<${Avatar} of=${one} name=${nameOf(one)} />`}<span>${nameOf(one)}</span>${names[one] && names[one] !== one && html`<small>${one}</small>`}</button>` : html`<${Option} key=${one.name} icon=${ICONS[one.name] ?? `${one.name}s`} choose=${() => choose(one)}>${one.label}<//>`))}
    ${filter && options.length === 0 && html`<p class="muted">Type a value.</p>`}</div></div>`;
}

/** @param {{save: (name: string) => void}} of */
export const ViewForm = ({ save }) => html`<${Form} button="Save" send=${async ({ name }) => save(name.trim())}><${Field} label="Name of the view" name="name" required maxlength="40" autocomplete="off" /><//>`;
