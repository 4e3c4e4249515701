/** Push messages to this browser. Loaded when a page enables them. */

import { Refused } from './api.js';
import { rejectUnknown } from './strict.js';

/** @import { Api } from './api.js' */

/**
 * @typedef {object} PushOptions
 * @property {ServiceWorkerRegistration} [registration]  your own service worker, which imports `bellcast-push.js`; by default `bellcast-push.js` itself is registered, which needs a server on the page's origin
 */

/** @typedef {'unsupported' | 'blocked' | 'off' | 'on'} PushState */

/** The state of the push messages to this browser. @param {Api} api @param {string} base @param {PushOptions} [options] @returns {Promise<PushState>} */
export async function pushState(api, base, { registration, ...others } = {}) {
  rejectUnknown(others, 'pushState');
  const canRegister = registration || new URL(base).origin === globalThis.location?.origin;
  if (!canRegister || !isSupported() || (!registration && (await isTaken(base)))) return 'unsupported';
  if (Notification.permission === 'denied') return 'blocked';
  const worker = registration ?? (await navigator.serviceWorker.getRegistration(base));
  const subscription = await worker?.pushManager.getSubscription();
  if (!subscription) return 'off';
  // Another user may have used this browser: the subscription belongs to the last one who registered it.
  const { push_endpoints } = await api.call('GET', 'v1/push-endpoints');
  return push_endpoints.some((/** @type {{endpoint: string}} */ { endpoint }) => endpoint === subscription.endpoint) ? 'on' : 'off';
}

const isSupported = () => 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis;

/** Whether the page's own service worker has the scope that Bellcast's would have: registering Bellcast's would replace it. @param {string} base */
async function isTaken(base) {
  const worker = await navigator.serviceWorker.getRegistration(base);
  const { scriptURL } = worker?.active ?? worker?.waiting ?? worker?.installing ?? {};
  return worker?.scope === base && !scriptURL?.startsWith(`${base}bellcast-push.js`);
}

/** @param {Api} api @param {string} base @param {PushOptions} [options] @param {Promise<NotificationPermission>} [permission] @returns {Promise<string>} */
export async function enablePush(api, base, { registration, ...others } = {}, permission) {
  rejectUnknown(others, 'enablePush');
  if (!isSupported()) throw new Refused(0, { code: 'push_unsupported', detail: 'This browser has no push messages.' });
  if ((await permission) !== 'granted') throw new Refused(0, { code: 'push_denied', detail: 'The user has not allowed notifications.' });
  if (!registration && (await isTaken(base))) throw new Refused(0, { code: 'push_unsupported', detail: 'The page has its own service worker: import bellcast-push.js into it, and pass its registration.' });
  const worker = registration ?? (await navigator.serviceWorker.register(`${base}bellcast-push.js`));
  const { public_key } = await api.call('GET', 'v1/push-endpoints/key');
  const { id } = await api.call('POST', 'v1/push-endpoints', (await subscribe(worker, public_key)).toJSON());
  if (!followed.has(api)) {
    followed.add(api);
    navigator.serviceWorker.addEventListener?.('message', ({ data }) => {
      if (followed.has(api) && data?.type === 'bellcast-push-changed') api.call('POST', 'v1/push-endpoints', data.subscription).catch(() => {}); // the next enablePush() repeats it
    });
  }
  return id;
}

/** Clients whose endpoint is registered again when the browser replaces the subscription. @type {WeakSet<Api>} */
const followed = new WeakSet();

/** @param {Api} api @param {string} base @param {PushOptions} [options] */
export async function disablePush(api, base, { registration, ...others } = {}) {
  rejectUnknown(others, 'disablePush');
  followed.delete(api);
  const worker = registration ?? (await navigator.serviceWorker?.getRegistration(base));
  const subscription = await worker?.pushManager.getSubscription();
  if (!subscription) return;
  // Unregister at the server first: if it is unavailable, the browser keeps the subscription, and a second call removes
  // both.
  const { push_endpoints } = await api.call('GET', 'v1/push-endpoints');
  const own = push_endpoints.filter((/** @type {{endpoint: string}} */ { endpoint }) => endpoint === subscription.endpoint);
  for (const { id } of own) await api.call('DELETE', `v1/push-endpoints/${id}`);
  if (own.length || (await isOfServer(api, subscription))) await subscription.unsubscribe();
}

/** Whether a subscription is for this server's messages: other code of the page may use the same worker. @param {Api} api @param {PushSubscription} subscription */
async function isOfServer(api, { options: { applicationServerKey } }) {
  const { public_key } = await api.call('GET', 'v1/push-endpoints/key');
  const key = String.fromCharCode(...new Uint8Array(applicationServerKey ?? []));
  return btoa(key).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '') === public_key;
}

/**
 * A subscription is bound to a server's key; one for another key is replaced.
 * @param {ServiceWorkerRegistration} worker @param {string} applicationServerKey
 */
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
