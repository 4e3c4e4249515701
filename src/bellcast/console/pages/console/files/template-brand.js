/**
 * The brand of a tenant, changed where its e-mails are edited.
 */
import { html, useState } from './html.js';
import { BrandFields } from './brand.js';
import { Dialog } from './draft-parts.js';
import { Loaded, useLoad } from './load.js';
import { Form, matching } from './parts.js';
import { getTagged, path, sendIf } from './server.js';

const withoutNulls = (brand) => Object.fromEntries(Object.entries(brand).filter(([, value]) => value !== null));

/** The dialog; `done` is called after a change. */
export function BrandDialog({ tenant, close, done }) {
  const url = path`/v1/tenants/${tenant}/brand`;
  const found = useLoad((signal) => getTagged(url, signal), [url]);
  return html`<${Dialog} label="Brand" isWide close=${close}><p class="muted">The look of all your e-mails, and of the pages behind their links. It takes effect at once.</p>
    <${Loaded} of=${found}>${({ value, tag }) => html`<${Fields} key=${tag} stored=${withoutNulls(value)} close=${close} save=${async (brand, isMine) => {
    await sendIf('PUT', url, brand, matching(tag, isMine));
    done();
    close();
  }} />`}<//><//>`;
}

function Fields({ stored, save, close }) {
  const [brand, setBrand] = useState(stored);
  return html`<${Form} isGuarded button="Save brand" send=${(_, _form, isMine) => save(brand, isMine)} more=${html`<button type="button" onClick=${close}>Cancel</button>`}><${BrandFields} brand=${brand} change=${setBrand} /><//>`;
}
