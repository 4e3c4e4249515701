/**
 * Passkeys: sign-in with one, and those of the signed-in operator.
 */
import { field, form, h, time } from './dom.js';
import { load } from './list.js';
import { card, remove } from './page.js';
import { get, path, request } from './server.js';

/** Browsers before 2025 lack WebAuthn's JSON methods; passkeys require a host name, not an IP address. */
export const hasPasskeys = () => typeof globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON === 'function' && !/^[\d.]+$|^\[/.test(location.hostname);

/** A button that signs in with a passkey; `done` receives the operator. */
export function passkeyButton(done) {
  const error = h('p', { class: 'error', role: 'alert' });
  const button = h('button', { type: 'button', onclick: async () => {
    button.disabled = true;
    error.textContent = '';
    try {
      const { options, ceremony } = await request('POST', '/v1/session/passkey-options');
      const credential = await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      done(await request('POST', '/v1/session/passkey', { ceremony, credential: credential.toJSON() }));
    } catch (problem) {
      error.textContent = textOf(problem);
    } finally {
      button.disabled = false;
    }
  } }, 'Sign in with a passkey');
  return [button, error];
}

/** The browser does not report whether the operator cancelled, the request timed out, or there is no passkey. */
function textOf(problem) {
  if (problem.name === 'NotAllowedError') return 'No passkey was used: you cancelled, it took too long, or there is none for this address.';
  if (problem.name === 'InvalidStateError') return 'This device already has a passkey here.';
  return problem.message;
}

/** The card of the account page; `reload` shows the page again after a change. */
export function passkeys(page, reload) {
  const place = h('div', { class: 'steps' }, h('p', { class: 'muted' }, 'Loading'));
  load(place, page.signal, (signal) => get('/v1/me/passkeys', signal), ({ passkeys: found }) => [
    found.length > 0 && h('ul', { class: 'passkeys' }, found.map((one) => item(page, one, reload))),
    hasPasskeys() ? addPasskey(reload) : h('p', { class: 'muted' }, 'This browser cannot add a passkey here: it needs a recent version, and an address with a host name.'),
  ]);
  return card('Passkeys', h('p', {}, 'A passkey signs you in with your fingerprint, face or PIN, without name and password. Afterwards, the password alone is not enough.'), place);
}

function item(page, one, reload) {
  return h('li', {},
    h('span', {}, h('b', {}, one.name), h('br'), h('small', { class: 'muted' }, 'Added ', time(one.created_at), ', last used ', one.used_at ? time(one.used_at) : 'never')),
    remove(page, `Delete the passkey ${one.name}`, 'Delete', path`/v1/me/passkeys/${one.id}`, reload));
}

/** A form that adds a passkey and then calls `done`. */
export const addPasskey = (done) => form([field('Name', { name: 'passkey', required: true, maxlength: 100, autocomplete: 'off' }, 'A name to distinguish it from others, such as laptop.')], 'Add a passkey', async ({ passkey }) => {
  const { options, ceremony } = await request('POST', '/v1/me/passkey-options');
  try {
    const credential = await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
    await request('POST', '/v1/me/passkeys', { name: passkey.trim(), ceremony, credential: credential.toJSON() });
  } catch (problem) {
    throw new Error(textOf(problem), { cause: problem });
  }
  await done();
});
