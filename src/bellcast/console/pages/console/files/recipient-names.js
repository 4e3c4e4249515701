/**
 * The names of recipients, which rows only have as keys.
 */
import { effect, html, signal, useEffect } from './html.js';
import { refreshes } from './load.js';
import { Avatar } from './parts.js';
import { get } from './server.js';
import { me } from './session.js';

/** As many as one request can name. */
const MAX_KEYS = 90;
/** More names, such as those of a live feed of days, are read again. */
const MAX_KNOWN = 10_000;
/** What waits for names is shown with keys after this time. */
const WAIT_MS = 1000;

/** By tenant and key; null without a name. */
const names = new Map();
/** The requests that read them. After a refresh, they are read again, and shown meanwhile. */
const reads = new Map();
/** Raised when names were read. */
const version = signal(0);
effect(() => {
  refreshes.value;
  reads.clear();
});

/** A recipient in a list of all tenants. */
const placeOf = ({ tenant, recipient }) => `${encodeURIComponent(tenant ?? '')}/${recipient}`;

async function readSome(some) {
  const isOfSeveral = some.some(({ tenant }) => tenant !== some[0].tenant);
  const query = new URLSearchParams([['tenant', isOfSeveral ? '*' : some[0].tenant ?? ''], ...some.map((one) => ['keys', isOfSeveral ? placeOf(one) : one.recipient])]);
  try {
    for (const { tenant, key, name } of (await get(`/v1/recipients?${query}`)).recipients) names.set(placeOf({ tenant, recipient: key }), name);
    version.value += 1;
  } catch {
    // The keys are shown.
  }
}

/** Read the names of the recipients of rows: one request for all that are not known. It is waited for only a short time. Viewers read none. */
export async function readNames(rows) {
  if (me.value.role === 'viewer') return;
  if (reads.size > MAX_KNOWN) {
    reads.clear();
    names.clear();
  }
  const places = new Map(rows.filter(({ recipient }) => recipient).map((one) => [placeOf(one), one])), unknown = [...places].filter(([place]) => !reads.has(place));
  for (let first = 0; first < unknown.length; first += MAX_KEYS) {
    const some = unknown.slice(first, first + MAX_KEYS), read = readSome(some.map(([, one]) => one));
    for (const [place] of some) reads.set(place, read);
  }
  await Promise.race([Promise.all([...places.keys()].map((place) => reads.get(place))), new Promise((done) => { setTimeout(done, WAIT_MS); })]);
}

/** The name of the recipient of a row, or its key while it has none. */
export const nameOf = (one) => (version.value >= 0 && names.get(placeOf(one))) || one.recipient;

/** The rows of components that were drawn, whose names are read together. */
const drawn = [];
function want(one) {
  if (drawn.push(one) === 1) setTimeout(() => readNames(drawn.splice(0)));
}

/** The recipient of a row by its name, and its key where there is room, unless it `isShort`. */
export function Named({ of, href, isShort = false }) {
  const { recipient } = of, name = nameOf(of);
  useEffect(() => want(of), [placeOf(of), refreshes.value]);
  return recipient && html`<span class="person" title=${name === recipient ? null : recipient}><${Avatar} of=${recipient} name=${name} /><span class="named">${href ? html`<a href=${href}>${name}</a>` : html`<span class="name">${name}</span>`}${name !== recipient && !isShort && html`<small>${recipient}</small>`}</span></span>`;
}

/** The column of the recipients of rows. */
export const RECIPIENT_COLUMN = { name: 'Recipient', kind: 'person', of: (one) => one.recipient && one, show: (one) => html`<${Named} of=${one} />`, width: 'minmax(9rem, .7fr)' };
