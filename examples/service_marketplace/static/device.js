/** This browser's key pair for the person. Scripts can use but not export the private key; the public key is uploaded to the site. */

import { nameOf, newPair, shownKey } from './sealing.js';
import { person, send } from './site.js';
import { text } from './texts.js';

const result = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function keys(mode) {
  const opening = indexedDB.open('gable');
  opening.onupgradeneeded = () => opening.result.createObjectStore('keys');
  return (await result(opening)).transaction('keys', mode).objectStore('keys');
}

async function pair() {
  const stored = await result((await keys('readonly')).get(person));
  if (stored) return stored;
  const created = await newPair();
  const store = await keys('readwrite');
  // Another tab may have stored a pair in the meantime; the first one is used.
  const first = await result(store.get(person));
  if (!first) store.put(created, person);
  return first ?? created;
}

async function register() {
  const own = await pair();
  const key = await shownKey(own);
  await send('PUT', '/api/device', { key });
  return { pair: own, key, name: await nameOf(key) };
}

/** `{pair, key, name}`; rejected without WebCrypto (a page without TLS) or if the site is unreachable. */
export const device = globalThis.crypto?.subtle ? register() : Promise.reject(new Error(text('error.https')));
device.catch(() => {});
