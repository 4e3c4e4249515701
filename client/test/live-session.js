/** A session that is live in a fake environment, and the frames that its server sends. */

import { Session } from '../src/bellcast/session.js';
import { notification, ready, settled, fakeEnvironment } from './environment.js';

export const page = (numbers, fields = {}) => ({
  notifications: numbers.map((number) => notification(number)), next: null, unread: numbers.length, unseen: numbers.length, position: 'p1', ...fields,
});

/** A live session; the server responds by `routes` ("METHOD last-path-segment") or with the page. */
export async function open(routes = {}, first = page([3, 2, 1])) {
  const env = fakeEnvironment(async ({ method, url }) => {
    const route = routes[`${method} ${url.pathname.split('/').at(-1)}`];
    return route ? route(url) : method === 'GET' ? first : { changed: 1 };
  });
  const session = new Session({ server: 'https://bell.example', token: 'one', topics: ['team'], environment: env });
  const events = [];
  for (const type of ['notification', 'event', 'presence', 'typing', 'refused']) session.addEventListener(type, (event) => events.push(event));
  session.open();
  await settled();
  await settled();
  env.link?.receive(ready({ unread: first.unread, unseen: first.unseen }));
  return { env, session, events };
}

export const numbers = ({ state }) => state.notifications.map(({ id }) => Number(id.slice(-4)));
export const later = () => {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
};
export const counts = (unread, unseen = unread, position = 'p2') => ({ unread, unseen, position });
export const arrival = (number, unread, fields) => ({ type: 'notification', notification: notification(number, fields), ...counts(unread) });
