/** Push messages to this browser. Loaded when a page enables them. */

import { Refused } from './api.js';
import { rejectUnknown } from './strict.js';

/** @import { Api } from './api.js' */

/**
 * @typedef {object} PushOptions
 * @property {ServiceWorkerRegistration} [registration]  your own service worker, which imports `bellcast-push.js`; by default `bellcast-push.js` itself is registered, which needs a server on the page's origin
 */

/** @param {Api} api @param {Promise<NotificationPermission> | undefined} permission @param {string} base @param {PushOptions} [options] @returns {Promise<string>} */
export async function enablePush(api, permission, base, { registration, ...others } = {}) {
  rejectUnknown(others, 'enablePush');
  if (!('serviceWorker' in navigator && 'PushManager' in globalThis)) throw new Refused(0, { code: 'push_unsupported', detail: 'This browser has no push messages.' });
  if ((await permission) !== 'granted') throw new Refused(0, { code: 'push_denied', detail: 'The person has not allowed notifications.' });
  const worker = registration ?? (await navigator.serviceWorker.register(`${base}bellcast-push.js`));
  const { public_key } = await api.call('GET', 'v1/push-endpoints/key');
  const { id } = await api.call('POST', 'v1/push-endpoints', (await subscribe(worker, public_key)).toJSON());
  return id;
}

/** A subscription is bound to a server's key: one to another key is replaced. @param {ServiceWorkerRegistration} worker @param {string} applicationServerKey */
async function subscribe(worker, applicationServerKey) {
  await active(worker);
  const options = { userVisibleOnly: true, applicationServerKey };
  return worker.pushManager.subscribe(options).catch(async (error) => {
    const other = error.name === 'InvalidStateError' && (await worker.pushManager.getSubscription());
    if (!other) throw error;
    await other.unsubscribe();
    return worker.pushManager.subscribe(options);
  });
}

/** Wait until the worker can subscribe. @param {ServiceWorkerRegistration} worker */
const active = (worker) =>
  new Promise((resolve) => {
    const next = worker.installing ?? worker.waiting;
    if (worker.active || !next) resolve(null);
    else next.addEventListener('statechange', () => worker.active && resolve(null));
  });
