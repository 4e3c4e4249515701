/**
 * Encryption keys: how many stored secrets are encrypted with each, and their rotation.
 */
import { html, useState } from './html.js';
import { count } from './format.js';
import { Loaded, Together, useLoad } from './load.js';
import { Confirm, Heading, State } from './parts.js';
import { Rows } from './rows.js';
import { get, lines } from './server.js';

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
  const steps = [
    ['Add the new key on all servers, and restart them', html`<code>BELLCAST_ENCRYPTION_KEY=old:…,new:…</code>`], ['Put it first, and restart them', html`<code>BELLCAST_ENCRYPTION_KEY=new:…,old:…</code>`],
    ['Rotate', 'All secrets are encrypted with the new key.'], ['Remove the old key once it has 0 secrets', 'Keep it for older backups.'],
  ];
  return html`<${Heading} title="Encryption keys" note=${html`<span class="muted">For the URLs of providers, and the secrets of webhooks and apps</span>`} /><${Together}>
    <section class="resource"><div class="list"><${Loaded} of=${found}>${({ keys, unreadable }) => {
      const [newest, older] = [true, false].map((isCurrent) => keys.reduce((sum, one) => sum + (one.is_current === isCurrent ? one.secrets : 0), 0));
      return html`<${Rows} label="Keys" columns=${COLUMNS} chunks=${[keys]} isOpen=${() => false} />${unreadable > 0 && html`<p class="error">${count(unreadable, 'secret')} cannot be decrypted: the encryption key is missing.</p>`}
      <div class="actions foot">${older > 0 ? html`<${Confirm} label="Rotate all secrets" word="Rotate" act=${rotate} />` : html`<button type="button" disabled>Rotate</button>`}<span class="muted" role="status">${status} ${older > 0 ? `${count(older, 'secret uses', 'secrets use')} an older key.` : newest > 0 ? 'All secrets use the newest key.' : 'No secret is stored.'}</span></div>`;
    }}<//></div></section>
    <details class="panel"><summary>Change the key…</summary><ol class="numbered">${steps.map(([title, what]) => html`<li key=${title}><b>${title}</b><p class="muted">${what}</p></li>`)}</ol></details><//>`;
}
