/**
 * The brand of a tenant, changed where its e-mails are edited.
 */
import { Form, matching } from './form.js';
import { html, useState } from './html.js';
import { BrandFields } from './brand.js';
import { count } from './format.js';
import { Dialog } from './draft-parts.js';
import { Loaded, useLoad } from './load.js';
import { Problem, get, getTagged, path, request, sendIf, withQuery } from './server.js';

/** The number of a tenant's templates with an e-mail; null if it is not known, as for the user of an embedded editor. */
const countOf = (tenant, signal) => get(withQuery('/v1/templates', { tenant, limit: 100 }), signal).then(({ templates, next }) => (next ? null : templates.filter((one) => one.email).length), () => null);

const withoutNulls = (brand) => Object.fromEntries(Object.entries(brand).filter(([, value]) => value !== null));

const ofTenant = (tenant, url) => ({
  read: async (signal) => {
    // The user of an embedded editor may read the brand only.
    const [{ value, tag }, name, templates] = await Promise.all([getTagged(url, signal), get(path`/v1/tenants/${tenant}`, signal).then((one) => one.name, () => null), countOf(tenant, signal)]);
    return { brand: withoutNulls(value), tag, name, templates };
  },
  write: (brand, { tag }, isMine) => sendIf('PUT', url, brand, matching(tag, isMine)),
});

/** The brand of the default tenant is a setting. */
const ofServer = {
  read: async (signal) => {
    const [{ revision, settings }, templates] = await Promise.all([get('/v1/settings', signal), countOf('', signal)]);
    const { value, locked_by: lockedBy } = settings.find(({ name }) => name === 'brand');
    return { brand: JSON.parse(value || '{}'), tag: value, revision, lockedBy, templates };
  },
  write: async (brand, { tag }, isMine) => {
    const now = await ofServer.read();
    if (now.tag !== tag && !isMine) throw new Problem(412, {}, null);
    const isNone = Object.keys(brand).length === 0;
    await request('PATCH', '/v1/settings', { revision: now.revision, set: isNone ? {} : { brand: JSON.stringify(brand) }, reset: isNone ? ['brand'] : [] });
  },
};

/** The dialog; `done` is called after a change. */
export function BrandDialog({ tenant, close, done }) {
  const store = tenant ? ofTenant(tenant, path`/v1/tenants/${tenant}/brand`) : ofServer;
  const found = useLoad(store.read, [tenant]);
  if (!found.value && !found.problem) return null; // the focus is that of the first field
  return html`<${Dialog} label="Brand" isWide close=${close}><${Loaded} of=${found}>${(read) => html`<p class="muted">Changes all e-mails of ${tenant ? read.name ?? 'this tenant' : 'the default tenant'}${read.templates > 0 && ` (${count(read.templates, 'template')})`}, and the pages behind their links.</p><${Fields} key=${read.tag} read=${read} close=${close} save=${async (brand, isMine) => {
    await store.write(brand, read, isMine);
    done();
    close();
  }} />`}<//><//>`;
}

function Fields({ read, save, close }) {
  const [brand, setBrand] = useState(read.brand);
  if (read.lockedBy) return html`<p class="notice">${read.lockedBy} sets the brand and takes precedence. Change it there.</p><${BrandFields} brand=${brand} isDisabled change=${setBrand} />`;
  return html`<${Form} isGuarded isEdit button="Save for all e-mails" send=${(_, _form, isMine) => save(brand, isMine)} more=${html`<button type="button" onClick=${close}>Cancel</button>`}><${BrandFields} name=${read.name ?? ''} brand=${brand} change=${setBrand} /><//>`;
}
