/** Compares a bell that polls every 30 seconds with the live event stream. */

import { follow, root } from './site.js';

const POLL_INTERVAL = 30; // seconds
const polling = document.querySelector('#old');
const live = document.querySelector('#new');
let etag = null;
let requests = 0;
let unchanged = 0;
let left = 0;

function write(panel, text) {
  const line = document.createElement('li');
  line.append(Object.assign(document.createElement('time'), { textContent: new Date().toLocaleTimeString('en-GB') }), text);
  const log = panel.querySelector('.log');
  log.prepend(line);
  while (log.children.length > 30) log.lastChild.remove();
}

const put = (panel, name, value) => (panel.querySelector(`.${name}`).textContent = value);

async function poll() {
  put(polling, 'requests', ++requests);
  // "no-store": the browser's cache would hide the 304 responses that this page counts.
  const response = await fetch(`${root}/api/notifications`, { cache: 'no-store', headers: etag ? { 'If-None-Match': etag } : {} });
  if (response.status === 304) {
    put(polling, 'unchanged', ++unchanged);
    return write(polling, 'nothing new');
  }
  if (!response.ok) return write(polling, 'request failed');
  etag = response.headers.get('ETag');
  const { unread, notifications } = await response.json();
  put(polling, 'unread', unread);
  write(polling, notifications.length ? `${notifications.length} in the inbox, newest: ${notifications[0].title}` : 'an empty inbox');
}

setInterval(() => {
  if (left === 0) poll().catch(() => write(polling, 'request failed'));
  left = left === 0 ? POLL_INTERVAL - 1 : left - 1;
  put(polling, 'next', left);
}, 1000);

const log = (describe) => ({ data }) => {
  const event = JSON.parse(data);
  if ('unread' in event) put(live, 'unread', event.unread);
  write(live, describe(event));
};

follow({
  open: () => put(live, 'line', 'live'),
  error: () => put(live, 'line', 'reconnecting'),
  ready: log(() => 'connected'),
  notification: log(({ notification }) => notification.title),
  'notification-update': log(({ notification }) => `${notification.read_at ? 'read' : 'changed'}: ${notification.title}`),
  'notification-delete': log(() => 'a notification was deleted'),
  counts: log(({ changed }) => `${changed} notifications changed`),
  event: log(({ name }) => `live event: ${name}`),
  heartbeat: () => put(live, 'line', 'live'),
});
