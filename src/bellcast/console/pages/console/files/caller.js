/**
 * People and keys by their signs: who is meant, and what called the API.
 */
import { html } from './html.js';
import { Avatar } from './parts.js';

/** The avatar of what called the API: a key's icon, or the initials of a person. */
export const CallerAvatar = ({ of, isKey = of.startsWith('key:') || of === 'project secret' }) => (isKey ? html`<${Avatar} of=${of} icon="keys" tone="grey" />` : html`<${Avatar} of=${of} />`);

/** What called the API: a person, or a key with its name. */
export const Caller = ({ name, keyName }) => html`<span class="person"><${CallerAvatar} of=${keyName ?? name} isKey=${Boolean(keyName)} /><span class="name">${keyName ?? name}</span></span>`;

/** A person: initials and a name, or a key. */
export const Person = ({ name, href }) => name && html`<span class="person"><${Avatar} of=${name} />${href ? html`<a href=${href}>${name}</a>` : html`<span class="name">${name}</span>`}</span>`;
