/**
 * The push part of a service worker: shows Bellcast's push messages, puts a dot on the app's icon, and opens links of
 * messages. Your own worker can add it with `importScripts('/bellcast-push.js')`; nothing here becomes global.
 */
((worker) => {
  worker.addEventListener('push', (/** @type {any} */ event) => {
    const message = read(event.data);
    if (message) event.waitUntil(show(message));
  });

  worker.addEventListener('notificationclick', (/** @type {any} */ event) => {
    const { data, tag } = event.notification;
    if (!data || data.id !== tag) return; // shown by another script of the worker
    event.notification.close();
    const button = buttonsOf(data).find(({ key }) => key === event.action);
    event.waitUntil(focusOrOpen(new URL((button || data).url || './', worker.registration.scope).href));
  });

  worker.addEventListener('pushsubscriptionchange', (/** @type {any} */ event) => {
    event.waitUntil(report(event));
  });

  /** The browser has replaced or ended the subscription. A worker has no session: an open page registers the new one. @param {any} change */
  async function report({ oldSubscription, newSubscription }) {
    const { applicationServerKey } = oldSubscription?.options ?? {};
    const current = newSubscription ?? (applicationServerKey && (await worker.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })));
    if (!current) return;
    const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
    for (const window of windows) window.postMessage({ type: 'bellcast-push-changed', subscription: current.toJSON() });
  }

  /** Show a notification, and a badge on the icon; an open page replaces the badge with the unread count. @param {any} message */
  function show(message) {
    const actions = buttonsOf(message).map(({ key, label }) => ({ action: key, title: label }));
    const shown = worker.registration.showNotification(message.title, { body: message.body, tag: message.id, data: message, actions });
    return Promise.all([shown, worker.navigator.setAppBadge?.().catch(() => {})]);
  }

  /** @param {any} message @returns {{key: string, label: string, url: string}[]} */
  const buttonsOf = ({ actions }) => (Array.isArray(actions) ? actions : []);

  /** Return the message, or null for a push from another sender. @param {any} data */
  function read(data) {
    try {
      const message = data.json();
      return typeof message.title === 'string' && typeof message.id === 'string' ? message : null;
    } catch {
      return null;
    }
  }

  /** Focus the window that shows the link, or open one. @param {string} url */
  async function focusOrOpen(url) {
    const windows = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
    const current = windows.find((/** @type {any} */ window) => window.url === url);
    return current ? current.focus() : worker.clients.openWindow(url);
  }
})(/** @type {any} */ (self));
