/**
 * The operator's e-mail: an address, and the six digits that confirm it.
 */
import { Field, Form } from './form.js';
import { html, useEffect, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { State } from './parts.js';
import { request } from './server.js';
import { me } from './session.js';

/** The form of the address, and then of its code. */
export function OwnEmail({ done, close }) {
  const [address, setAddress] = useState(null);
  const [shown, setShown] = useState(null);
  const [isChanging, setChanging] = useState(false);
  const send = async (email) => {
    const { code = null } = await request('PATCH', '/v1/me', { email });
    setShown(code);
    setAddress(email);
  };
  useEffect(() => { if (address) document.querySelector('#confirm-email [name=code]')?.focus(); }, [address]);
  const { email, name } = me.value;
  if (address) {
    return html`<p role="status">${shown ? html`No provider delivers e-mail here, so nothing was sent. The code for <b>${address}</b> is <b>${shown}</b>.` : html`A code of six digits was sent to <b>${address}</b>.`} It is valid for 10 minutes.</p><${Form} key="code" id="confirm-email" button="Confirm" more=${html`<button type="button" onClick=${() => setAddress(null)}>Another address</button>`} send=${async ({ code }) => {
      me.value = await request('PATCH', '/v1/me', { code });
      setAddress(null);
      setChanging(false);
      done?.();
    }}><${Field} label="Code" name="code" required inputmode="numeric" autocomplete="one-time-code" maxlength="20" defaultValue=${shown ?? ''} /><//>`;
  }
  if (email && !isChanging) {
    return html`<p><${State} of="confirmed" kind="ok" /> <b>${email}</b></p><div class="choice"><button type="button" onClick=${() => setChanging(true)}>Change</button><${Confirm} label="Remove the e-mail" word="Remove" act=${async () => { me.value = await request('PATCH', '/v1/me', { email: null }); }} /></div>`;
  }
  return html`<${Form} key="address" button="Send a code" more=${(close || isChanging) && html`<button type="button" onClick=${close ?? (() => setChanging(false))}>Cancel</button>`} send=${(values) => send(values.email.trim())}><${Field} label="Address" name="email" type="email" required autocomplete="email" placeholder="you@example.com" defaultValue=${email ?? (name.includes('@') ? name : '')} hint="A code of six digits is sent to it, which confirms it." /><//>`;
}
