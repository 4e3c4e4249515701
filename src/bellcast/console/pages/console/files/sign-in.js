/**
 * Set-up and sign-in.
 */
import { field, fill, form, h, id } from './dom.js';
import { addPasskey, hasPasskeys, passkeyButton } from './passkeys.js';
import { ROOT, get, request } from './server.js';

const NAME = { name: 'name', required: true, maxlength: 100, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' };

const CODE = { name: 'code', required: true, maxlength: 100, autocomplete: 'one-time-code', inputmode: 'text', autocapitalize: 'none', spellcheck: 'false' };

function card(title, ...children) {
  return framed('main', title, children);
}

function framed(tag, title, ...children) {
  return h(tag, { class: 'card' }, h('p', { class: 'brand' }, h('img', { src: `${ROOT}/favicon.svg`, width: '24', height: '24', alt: '' }), 'Bellcast'), h('h1', { tabindex: '-1' }, title), children);
}

/** The first owner, with the code of the URL's fragment. */
export function setUp(done, provider) {
  const code = new URLSearchParams(location.hash.slice(1)).get('code') ?? '';
  return card('Set up the console', byProvider(provider),
    h('p', { class: 'muted' }, 'Create the first owner. The server printed the code when it started; ', h('code', {}, 'bellcast operator setup-code'), ' prints a new one.'),
    form([
      field('Code', { name: 'code', required: true, value: code, autocomplete: 'off', spellcheck: 'false' }),
      field('Name', NAME, 'Lower case, such as an e-mail address.'),
      field('Password', { name: 'password', type: 'password', required: true, minlength: 12, autocomplete: 'new-password' }, 'At least 12 characters.'),
    ], 'Create owner', async ({ code, name, password }) => {
      const operator = await request('POST', '/v1/setup', { code: code.trim(), name: name.trim().toLowerCase(), password });
      history.replaceState(null, '', location.pathname);
      done(operator);
    }));
}

/** A button that signs in with the identity provider, and returns to this page. */
function providerButton(provider, body = {}) {
  const error = h('p', { class: 'error', role: 'alert' });
  const button = h('button', { type: 'button', class: 'primary', onclick: async () => {
    button.disabled = true;
    error.textContent = '';
    try {
      const here = `${location.pathname.slice(ROOT.length)}${location.search}`;
      location.assign((await request('POST', '/v1/session/oidc', { return_path: here, ...body })).url);
    } catch (problem) {
      error.textContent = problem.message;
      button.disabled = false;
    }
  } }, `Sign in with ${provider}`);
  // The browser may restore this page when the operator returns without signing in.
  addEventListener('pageshow', () => { button.disabled = false; });
  return [button, error];
}

/** How to sign in without a password for this server, if there is an identity provider. */
const byProvider = (provider) => provider && h('div', { class: 'provider' },
  providerButton(provider), h('p', { class: 'or muted' }, 'or with a password'));

export function signIn(done, provider, tag = 'main') {
  const fields = [
    field('Name', NAME),
    field('Password', { name: 'password', type: 'password', required: true, autocomplete: 'current-password' }),
  ];
  const second = h('div', { class: 'field' });
  const note = h('p', { class: 'muted' }, 'An owner can set a new password for you.');
  return framed(tag, 'Sign in', byProvider(provider),
    form([fields, second], 'Sign in', async ({ name, password, code }) => {
      try {
        done(await request('POST', '/v1/session', { name: name.trim().toLowerCase(), password, ...(code && { code }) }));
      } catch (problem) {
        if (problem.code !== 'mfa_required') throw problem;
        for (const one of fields) one.hidden = true;
        note.textContent = 'An owner can remove a lost app or passkey.';
        fill(second, field('Code', CODE, 'From your authenticator app, or a recovery code, which works once. Not needed with a passkey.'));
        second.querySelector('input').focus();
      }
    }),
    hasPasskeys() && h('div', { class: 'passkey' }, passkeyButton(done)),
    note);
}

/** The page of an operator who must set up a second factor. */
export function enrol(done, signOut) {
  return card('Set up a second factor',
    h('p', { class: 'muted' }, 'This server requires a second factor for every operator.'),
    mfaSetup(done), hasPasskeys() && [h('p', { class: 'or muted' }, 'or'), addPasskey(done)], h('button', { type: 'button', onclick: signOut }, 'Sign out'));
}

/** Steps to add an authenticator app; `done` is called when the operator has stored the recovery codes. */
export function mfaSetup(done) {
  const place = h('div', { class: 'steps' });
  const begin = form([], 'Set up an authenticator app', async () => {
    const { secret, uri, qr_code: qrCode } = await request('POST', '/v1/me/mfa');
    fill(place,
      h('p', {}, 'Scan this code with your authenticator app:'),
      h('img', { class: 'qr', src: qrCode, alt: 'QR code of the key' }),
      h('p', {}, 'Or enter the key, as a time-based code:'),
      h('p', {}, id(secret)),
      h('p', {}, h('a', { href: uri }, 'Open the app on this device')),
      form([field('Code', CODE, 'The six digits that the app shows.')], 'Confirm', async ({ code }) => {
        const { codes } = await request('PUT', '/v1/me/mfa', { code });
        fill(place, recoveryCodes(codes, done));
      }));
    place.querySelector('input').focus();
  });
  return fill(place, begin);
}

export function recoveryCodes(codes, done) {
  return [
    h('p', {}, 'Each of these codes replaces the app or the passkey once, for example if you lose the phone. Store them now: they are not shown again.'),
    h('pre', { tabindex: '0' }, h('code', {}, codes.join('\n'))),
    h('button', { type: 'button', class: 'primary', onclick: done }, 'I have stored them'),
  ];
}

/** The dialog that asks an operator to sign in again at the identity provider. The page begins again after that. */
async function askProvider() {
  const { provider } = await get('/v1/setup');
  return ask('Sign in again', 'Changes to keys and operators, and erasure, need a sign-in within the last 10 minutes. Your input on this page is lost.',
    () => h('div', { class: 'provider' }, providerButton(provider, { reauthenticate: true })));
}

/** The dialog that asks for the password again; it resolves to true if the operator entered it. */
export function askPassword(isExternal) {
  if (isExternal) return askProvider();
  return ask('Type your password again', 'Changes to keys and operators, and erasure, need a password that was typed in the last 10 minutes.',
    (done) => form([field('Current password', { name: 'again', type: 'password', required: true, autocomplete: 'current-password' })], 'Continue', async ({ again }) => {
      await request('PUT', '/v1/session/verification', { password: again });
      done();
    }));
}

function ask(title, reason, content) {
  return new Promise((resolve) => {
    const close = h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel');
    const dialog = h('dialog', { class: 'ask', 'aria-label': title }, h('h2', {}, title), h('p', { class: 'muted' }, reason),
      content(() => dialog.close('yes')), close);
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let again = null;
/** Ask for a new sign-in over the page, which stays as it is. Resolves to true if the same operator signed in; for another one, the console begins again. */
export function signInAgain(operator) {
  again ??= (async () => {
    try {
      const { provider } = await get('/v1/setup');
      return await new Promise((resolve) => {
        const dialog = h('dialog', { class: 'again', 'aria-label': 'Sign in again', oncancel: (event) => event.preventDefault() }, h('p', { class: 'notice' }, 'Your session has ended. Sign in to go on: this page stays as it is.'), signIn((signedIn) => {
          if (signedIn.name !== operator.name || signedIn.must_enrol) {
            location.reload();
            return;
          }
          dialog.remove();
          document.body.classList.remove('ended');
          resolve(true);
        }, provider, 'div'));
        document.body.classList.add('ended');
        document.body.append(dialog);
        dialog.showModal();
      });
    } finally {
      again = null;
    }
  })();
  return again;
}
