/**
 * The fields of a form for a tenant or several: the operator's own, or any that exists.
 */
import { Field } from './form.js';
import { html, useEffect, useState } from './html.js';
import { PickerField } from './picker.js';
import { shownTenant } from './router.js';
import { me } from './session.js';
import { readTenantNames, tenantName } from './tenant-names.js';

/** The tenant that the field has at first. */
export const firstTenant = (of = shownTenant()) => of || me.value.tenants?.[0] || '';

/** @param {{of?: string, none?: string, [attribute: string]: any}} of the tenant at first; `none` is what an empty field means */
export function TenantField({ of = shownTenant(), none = 'Default tenant', ...more }) {
  const own = me.value.tenants, [, setRead] = useState(false);
  useEffect(() => { if (own) readTenantNames(own).then(() => setRead(true)); }, []);
  if (own) return html`<${Field} label="Tenant" name="tenant" options=${own} words=${Object.fromEntries(own.map((key) => [key, tenantName(key)]))} defaultValue=${firstTenant(of)} hint=${more.hint} onChange=${({ currentTarget: { value } }) => more.onChoose?.([value])} />`;
  return html`<${PickerField} kind="tenant" label="Tenant" name="tenant" first=${of ? [of] : []} none=${none} ...${more} />`;
}

/** Several tenants; none are all that the operator has. */
export const TenantsField = ({ of, ...more }) => html`<${PickerField} kind="tenant" isMany label="Tenants" name="tenants" first=${of ?? []} none=${me.value.tenants ? 'All of yours' : 'All tenants'} ...${more} />`;
