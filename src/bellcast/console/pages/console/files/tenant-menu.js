/**
 * The menu of tenants, by their names and keys.
 */
import { html, useEffect, useRef, useSignal } from './html.js';
import { Avatar, Icon } from './parts.js';
import { me } from './session.js';
import { readTenants, tenantName } from './tenant-names.js';

/** The tenants of the last opening. */
let known = [];

/** A tenant to choose, or all of them. */
const Row = ({ isChosen, choose, of, icon, name }) => html`<button type="button" class="option" aria-current=${isChosen ? 'true' : null} onClick=${choose}><${Avatar} of=${of} icon=${icon} name=${name} /><span>${name}</span>${of && name.toLowerCase() !== of && name !== of && !isChosen && html`<small>${of}</small>`}${isChosen && html`<${Icon} name="check" />`}</button>`;

/** @param {{shown: string, choose: (key: string) => void}} of an empty key is that of all tenants */
export function TenantList({ shown, choose }) {
  const found = useSignal(me.value.tenants ?? known), text = useSignal(''), input = useRef(null);
  const typed = text.value.trim();
  useEffect(() => input.current.focus(), []);
  const read = (prefix) => {
    const abort = new AbortController();
    readTenants(prefix, abort.signal).then((keys) => {
      if (!me.value.tenants) known = [...new Set([...known, ...keys])].sort();
      found.value = [...(me.value.tenants ?? known)];
    }, () => {}); // the tenants that are known remain
    return () => abort.abort();
  };
  // A name is found among the first tenants, so typing does not end their read.
  useEffect(() => read(''), []);
  useEffect(() => (typed ? read(typed) : undefined), [typed]);
  const isNamed = (key) => tenantName(key).toLowerCase().includes(typed.toLowerCase());
  const begun = found.value.filter((key) => key.startsWith(typed)), keys = [...begun, ...found.value.filter((key) => !begun.includes(key) && isNamed(key))];
  return html`<form onSubmit=${(event) => {
    event.preventDefault();
    if (typed) choose(found.value.includes(typed) ? typed : keys[0] ?? typed);
  }}><input aria-label="Search tenants" placeholder="Search tenants" autocomplete="off" value=${text.value} ref=${input} onInput=${(event) => { text.value = event.currentTarget.value; }} /></form>
    <div class="options">${!typed && html`<${Row} isChosen=${shown === ''} choose=${() => choose('')} of="" icon="tenants" name="All tenants" />`}
    ${keys.map((key) => html`<${Row} key=${key} isChosen=${key === shown} choose=${() => choose(key)} of=${key} name=${tenantName(key)} />`)}
    ${typed && keys.length === 0 && html`<p class="muted">No tenant has this key or name.</p>`}</div>`;
}
