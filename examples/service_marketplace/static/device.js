/** This browser's key pair, made once for each person, kept where scripts can use but not read it; its public half is shown to the site. */

import { nameOf, newPair, shownKey } from './sealing.js';
import { person, send } from './site.js';

const asked = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function keys(mode) {
  const opening = indexedDB.open('gable');
  opening.onupgradeneeded = () => opening.result.createObjectStore('keys');
  return (await asked(opening)).transaction('keys', mode).objectStore('keys');
}

async function pair() {
  const kept = await asked((await keys('readonly')).get(person));
  if (kept) return kept;
  const made = await newPair();
  const store = await keys('readwrite');
  // Another tab may have been quicker: the first pair counts.
  const first = await asked(store.get(person));
  if (!first) store.put(made, person);
  return first ?? made;
}

async function introduce() {
  const own = await pair();
  const key = await shownKey(own);
  await send('PUT', '/api/device', { key });
  return { pair: own, key, name: await nameOf(key) };
}

/** `{pair, key, name}`; rejected where there is no WebCrypto (a page without TLS) or no site. */
export const device = globalThis.crypto?.subtle ? introduce() : Promise.reject(new Error('This page needs HTTPS to keep a chat private.'));
device.catch(() => {});
