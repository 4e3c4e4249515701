/**
 * Encryption keys: how many stored secrets are encrypted with each, and their rotation.
 */
import { confirmed, h, state } from './dom.js';
import { heading, load } from './list.js';
import { card, count } from './page.js';
import { get, lines } from './server.js';

export function secrets(page) {
  const place = h('div');
  const status = h('p', { class: 'muted', role: 'status' });
  const show = () => load(place, page.signal, (signal) => get('/v1/secrets', signal), ({ keys, unreadable }) => [
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Keys' }, h('table', {},
      h('thead', {}, h('tr', {}, ['Key', 'Secrets', 'State'].map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', {}, keys.map((one) => h('tr', {},
        h('td', {}, h('code', {}, one.id)), h('td', { 'data-label': 'Secrets' }, count(one.secrets, 'secret')),
        h('td', { 'data-label': 'State' }, state(one.is_current ? 'active' : one.secrets > 0 ? 'in use' : 'not used'), one.is_current ? ' encrypts' : one.secrets > 0 ? ' only decrypts' : ' by any secret')))))),
    unreadable > 0 && h('p', { class: 'error' }, `${count(unreadable, 'secret')} cannot be decrypted: the encryption key is missing.`),
  ]);
  show();
  return [
    heading('Encryption keys', confirmed('Rotate all secrets', 'Rotate', async () => {
      let changed = 0;
      await lines('POST', '/v1/secrets/rotation', page.signal, (progress) => {
        changed += progress.changed;
        status.textContent = `${count(changed, 'secret')} re-encrypted.`;
      });
      show();
    })),
    h('p', { class: 'muted' }, 'Secrets in the database are encrypted: URLs of providers, secrets of webhooks and Pusher apps, and the key used with browsers’ push services.'),
    status, place,
    card('Change the key', h('ol', {}, ['Append the new key on all servers, and restart them, so that each can decrypt the others’ secrets.', 'Put it first, and restart them.', 'Rotate here.', 'Remove the old key when no secret is encrypted with it any longer. Keep it for older backups.'].map((step) => h('li', {}, step))),
      h('pre', { tabindex: '0' }, h('code', {}, 'BELLCAST_ENCRYPTION_KEY=old:…,new:…'))),
  ];
}
