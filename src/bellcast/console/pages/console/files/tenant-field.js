/**
 * The field of a form for a tenant: the operator's own, or any, with those that exist as suggestions.
 */
import { html, useEffect, useId, useState } from './html.js';
import { Field } from './parts.js';
import { shownTenant } from './router.js';
import { get, withQuery } from './server.js';
import { me } from './session.js';

/** As many as one response can contain; others are typed. */
const MAX_TENANTS = 200;

/** @param {{of?: string, [attribute: string]: any}} of the tenant at first */
export function TenantField({ of = shownTenant(), ...more }) {
  const own = me.value.tenants, id = useId();
  const [known, setKnown] = useState([]);
  useEffect(() => {
    const abort = new AbortController();
    if (!own) get(withQuery('/v1/tenants', { limit: MAX_TENANTS }), abort.signal).then(({ tenants }) => setKnown(tenants)).catch(() => {}); // the key can be typed
    return () => abort.abort();
  }, []);
  if (own) return html`<${Field} label="Tenant" name="tenant" options=${own} defaultValue=${of || own[0]} ...${more} />`;
  return html`<${Field} label="Tenant" name="tenant" list=${id} defaultValue=${of} placeholder="Default tenant" autocomplete="off" autocapitalize="none" spellcheck=${false} ...${more} /><datalist id=${id}>${known.map(({ key, name }) => html`<option key=${key} value=${key}>${name}</option>`)}</datalist>`;
}
