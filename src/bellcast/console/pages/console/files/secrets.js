/**
 * Encryption keys: how many stored secrets are encrypted with each, and how to change the key.
 */
import { html, useState } from './html.js';
import { Confirm } from './dialogs.js';
import { count, number } from './format.js';
import { Loaded, Together, useLoad } from './load.js';
import { Headline, Sign } from './object-parts.js';
import { Card, Heading, Snippet, State, inTerminal } from './parts.js';
import { Rows } from './rows.js';
import { get, lines } from './server.js';

/** Where a key is, by its id: the file's keys are numbered. */
const FILE = 'encryption.json';
const OF_CREDENTIALS = ['project secret', 'second secret'];
/** A key of the file by its number. */
const nameOf = ({ id }) => (id.startsWith(`${FILE} `) ? `Key ${id.slice(FILE.length + 1)}` : id);
const placeOf = ({ id }) => (id.startsWith(FILE) ? html`<code>${FILE}</code> in the data folder` : OF_CREDENTIALS.includes(id) ? 'of the credentials' : 'in BELLCAST_ENCRYPTION_KEY');
/** What each key is for, and what comes next. */
const useOf = (one) => (one.is_current ? 'encrypts new secrets' : one.secrets > 0 ? 'needed until all secrets are re-encrypted' : OF_CREDENTIALS.includes(one.id) ? 'for secrets of older versions' : 'only for older backups');

const stateOf = (one) => (one.is_current ? { of: 'active', kind: 'ok' } : one.secrets > 0 ? { of: 'in use', kind: 'warn' } : { of: 'kept', kind: 'info' });

const COLUMNS = [
  { name: 'Key', kind: 'title', lead: (one) => html`<${Sign} icon="keys" tone=${one.is_current ? 1 : 'grey'} />`, of: nameOf, text: placeOf },
  { name: 'State', of: (one) => html`<${State} ...${stateOf(one)} />`, show: (one) => one, width: '8rem' },
  { name: 'Use', of: useOf, width: '18rem' },
  { name: 'Secrets', kind: 'number', of: (one) => number(one.secrets), by: (one) => one.secrets, width: '6rem' },
];

/** Changing a key that the server generates, one of the credentials, and those that are set. */
const OF_FILE = [
  ['Generate a new key', 'The file keeps the previous one for older backups. Servers with a data folder of their own need a copy of it.', 'bellcast encryption rotate'],
  ['Restart the servers', 'At its next start, a server encrypts all stored secrets with the new key.'],
];
const ENCRYPT = ['Re-encrypt all secrets', 'With the button that then appears on this page, or in a terminal.', 'bellcast secrets rotate'];
const OF_PROJECT = [['Set the same key on all servers', 'Restart them together: a server without the key cannot read what the others write.', 'BELLCAST_ENCRYPTION_KEY=1:…'], ENCRYPT];
const OF_LIST = [
  ['Add the new key after the old one', 'Restart all servers, so that each can read what the others write.', 'BELLCAST_ENCRYPTION_KEY=old:…,new:…'],
  ['Put the new key first', 'Restart all servers: they encrypt with it from now on.', 'BELLCAST_ENCRYPTION_KEY=new:…,old:…'],
  ENCRYPT,
  ['Remove the old key', 'Once it has no secrets. Keep it in a safe place for older backups.', 'BELLCAST_ENCRYPTION_KEY=new:…'],
];

const stepsOf = ({ id }) => (id.startsWith(FILE) ? OF_FILE : OF_CREDENTIALS.includes(id) ? OF_PROJECT : OF_LIST);

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
  return html`<${Heading} title="Encryption keys" note=${html`<span class="muted">For the URLs of providers, and the secrets of webhooks and apps</span>`} /><${Together}><${Loaded} of=${found}>${({ keys, unreadable }) => {
    const total = keys.reduce((sum, one) => sum + one.secrets, 0), current = keys.find((one) => one.is_current), older = total - current.secrets;
    return html`<${Summary} ...${{ total, older, unreadable, current, isAlone: keys.length === 1 }} />
      <div class=${older > 0 || status ? 'actions foot' : null}>${older > 0 && html`<${Confirm} isPrimary label="Re-encrypt all secrets" word="Re-encrypt all" act=${rotate} />`}<span class="muted" role="status">${status}</span></div>
      ${keys.length > 1 && html`<section class="resource"><div class="list"><${Rows} label="Keys" isTall columns=${COLUMNS} chunks=${[keys]} isOpen=${() => false} /></div></section>`}
      <${Card} title="Change the key"><ol class="numbered">${stepsOf(current).map(([title, what, line]) => html`<li key=${title}><b>${title}</b><p class="muted">${what}</p>${line && html`<${Snippet} of=${line} copied=${inTerminal(line)} />`}</li>`)}</ol><//>`;
  }}<//><//>`;
}

/** Whether all secrets can be read, and with which key, unless the list of keys says it. */
function Summary({ total, older, unreadable, current, isAlone }) {
  if (unreadable > 0) return html`<${Headline} kind="bad" note="The key that encrypted them is missing: add it to BELLCAST_ENCRYPTION_KEY on all servers. Until then, their providers, webhooks and apps do not work.">${count(unreadable, 'secret')} cannot be decrypted<//>`;
  if (older > 0) return html`<${Headline} kind="warn" note="Re-encrypt all, so that the older key is not needed any longer.">${count(older, 'secret uses', 'secrets use')} an older key<//>`;
  if (total === 0) return html`<${Headline} kind="info" note="The URLs of providers and the secrets of webhooks and apps are encrypted when they are saved.">No secret is stored yet<//>`;
  return html`<${Headline} kind="ok" note=${isAlone && html`${nameOf(current)}, ${placeOf(current)}. It encrypts new secrets too.`}>${total === 1 ? 'The secret is' : `All ${number(total)} secrets are`} encrypted with the current key<//>`;
}
