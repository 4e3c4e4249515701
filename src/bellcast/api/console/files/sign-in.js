/**
 * Set-up and sign-in.
 */
import { field, form, h } from './dom.js';
import { request } from './server.js';

const NAME = { name: 'name', required: true, maxlength: 100, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' };

function card(title, ...children) {
  return h('main', { class: 'card' }, h('p', { class: 'brand' }, 'Bellcast'), h('h1', { tabindex: '-1' }, title), children);
}

/** The first owner, with the code of the URL's fragment. */
export function setUp(done) {
  const code = new URLSearchParams(location.hash.slice(1)).get('code') ?? '';
  return card('Set up the console',
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

export function signIn(done) {
  return card('Sign in',
    form([
      field('Name', NAME),
      field('Password', { name: 'password', type: 'password', required: true, autocomplete: 'current-password' }),
    ], 'Sign in', async ({ name, password }) => done(await request('POST', '/v1/session', { name: name.trim().toLowerCase(), password }))),
    h('p', { class: 'muted' }, 'An owner can set a new password for you.'));
}
