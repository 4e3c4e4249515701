/**
 * Encryption keys: how many stored secrets are encrypted with each, and their rotation.
 */
import { html, useState } from './html.js';
import { count } from './format.js';
import { Loaded, Together, useLoad } from './load.js';
import { Card, Confirm, Heading, State } from './parts.js';
import { Rows } from './rows.js';
import { get, lines } from './server.js';

const STEPS = ['Append the new key on all servers, and restart them, so that each can decrypt the others’ secrets.', 'Put it first, and restart them.', 'Rotate here.', 'Remove the old key when no secret is encrypted with it any longer. Keep it for older backups.'];
const COLUMNS = [
  { name: 'State', kind: 'state', of: (one) => html`<${State} of=${one.is_current ? 'active' : one.secrets > 0 ? 'in use' : 'not used'} />`, show: (one) => one },
  { name: 'Key', kind: 'title', of: (one) => html`<code>${one.id}</code>`, text: (one) => (one.is_current ? 'encrypts new secrets' : one.secrets > 0 ? 'decrypts older secrets' : '') }, { name: 'Secrets', kind: 'number', of: (one) => one.secrets },
];

export function EncryptionKeys() {
  const found = useLoad((signal) => get('/v1/secrets', signal));
  const [status, setStatus] = useState('');
  const rotate = async () => {
    let changed = 0;
    await lines('POST', '/v1/secrets/rotation', undefined, (progress) => {
      changed += progress.changed;
      setStatus(`${count(changed, 'secret')} re-encrypted.`);
    });
    found.reload();
  };
  return html`<${Heading} title="Encryption keys"><${Confirm} label="Rotate all secrets" word="Rotate" act=${rotate} /><//><${Together}>
    <p class="muted">Secrets in the database are encrypted: URLs of providers, secrets of webhooks and Pusher apps, and the key used with browsers’ push services.</p><p class="muted" role="status">${status}</p>
    <section class="resource"><div class="list"><${Loaded} of=${found}>${({ keys, unreadable }) => html`<${Rows} label="Keys" columns=${COLUMNS} chunks=${[keys]} isOpen=${() => false} />${unreadable > 0 && html`<p class="error">${count(unreadable, 'secret')} cannot be decrypted: the encryption key is missing.</p>`}`}<//></div></section>
    <${Card} title="Change the key"><ol>${STEPS.map((step) => html`<li key=${step}>${step}</li>`)}</ol><pre tabIndex="0"><code>BELLCAST_ENCRYPTION_KEY=old:…,new:…</code></pre><//><//>`;
}
