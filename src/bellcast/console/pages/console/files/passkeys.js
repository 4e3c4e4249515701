/**
 * Passkeys: sign-in with one, and those of the signed-in operator.
 */
import { Field, Form } from './form.js';
import { html, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { Loaded, useLoad } from './load.js';
import { Time } from './parts.js';
import { get, path, request } from './server.js';

/** Browsers before 2025 lack WebAuthn's JSON methods; passkeys require a host name, not an IP address. */
const hasHostName = !/^[\d.]+$|^\[/.test(location.hostname);
export const hasPasskeys = () => typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === 'function' && hasHostName;

/** A button that signs in with a passkey; `done` receives the operator. */
export function PasskeyButton({ done }) {
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);
  const signIn = async () => {
    setBusy(true);
    setProblem('');
    try {
      const { options, ceremony } = await request('POST', '/v1/session/passkey-options');
      const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      done(await request('POST', '/v1/session/passkey', { ceremony, credential: credential.toJSON() }));
    } catch (failed) {
      setProblem(textOf(failed));
    }
    setBusy(false);
  };
  return html`<button type="button" disabled=${isBusy} onClick=${signIn}>Sign in with a passkey</button><p class="error" role="alert">${problem}</p>`;
}

/** The browser does not report whether the operator cancelled, the request timed out, or there is no passkey. */
function textOf(problem) {
  if (problem.name === 'NotAllowedError') return 'No passkey was used: you cancelled, it took too long, or there is none for this address.';
  if (problem.name === 'InvalidStateError') return 'This device already has a passkey here.';
  return problem.message;
}

/** The passkeys on the account page; `changed` is called after a change, and `children` shows the form of another one. */
export function Passkeys({ changed, children }) {
  const found = useLoad((signal) => get('/v1/me/passkeys', signal));
  const remove = async (one) => {
    await request('DELETE', path`/v1/me/passkeys/${one.id}`);
    await changed();
  };
  return html`<div class="steps"><${Loaded} of=${found}>${({ passkeys }) => html`
    ${passkeys.length > 0 && html`<ul class="passkeys">${passkeys.map((one) => html`<li key=${one.id}><span><b>${one.name}</b><br /><small class="muted">Added <${Time} at=${one.created_at} />, ${one.used_at ? html`last used <${Time} at=${one.used_at} />` : 'never used'}</small></span>
      <${Confirm} isDanger label=${`Delete the passkey ${one.name}`} word="Delete" about="It no longer signs you in." act=${() => remove(one)} /></li>`)}</ul>`}
    ${hasPasskeys() ? html`${passkeys.length === 0 && html`<span class="now">None</span>`}<div key=${passkeys.length}>${children(html`<${AddPasskey} done=${changed} />`)}</div>` : html`<span class="now">${hasHostName ? 'Not available in this version of the browser' : `Not available at ${location.hostname}: needs a host name`}</span>`}`}<//></div>`;
}

/** A form that adds a passkey and then calls `done`. */
export const AddPasskey = ({ done }) => html`<${Form} button="Add a passkey" send=${async ({ passkey }, form) => {
  const { options, ceremony } = await request('POST', '/v1/me/passkey-options');
  try {
    const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
    await request('POST', '/v1/me/passkeys', { name: passkey.trim(), ceremony, credential: credential.toJSON() });
  } catch (problem) {
    throw new Error(textOf(problem), { cause: problem });
  }
  form.reset();
  await done();
}}><${Field} label="Name" name="passkey" required maxlength="100" autocomplete="off" hint="A name to distinguish it from others, such as laptop." /><//>`;
