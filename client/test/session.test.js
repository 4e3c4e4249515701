import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Session } from '../src/bellcast/session.js';
import { notification, ready, settled, fakeEnvironment } from './environment.js';
import { page, open, numbers, later, counts, arrival } from './live-session.js';

test('a session loads the inbox and goes live from its position', async () => {
  const { env, session } = await open();
  assert.deepEqual(numbers(session), [3, 2, 1]);
  const { status, loaded, unread, error } = session.state;
  assert.deepEqual([status, loaded, unread, error], ['live', true, 3, null]);
  assert.equal(env.link.url.searchParams.get('position'), 'p1');
});

test('a new notification is shown and reported once, even if it arrives twice', async () => {
  const { env, session, events } = await open();
  env.link.receive(arrival(4, 4));
  env.link.receive(arrival(4, 4));
  assert.deepEqual(numbers(session), [4, 3, 2, 1]);
  assert.deepEqual(events.map(({ type, detail }) => [type, detail.id]), [['notification', notification(4).id]]);
});

test('an action is shown before the server responds', async () => {
  const response = later();
  const { session } = await open({ 'POST read': () => response.promise });
  const acting = session.read(notification(2).id);
  assert.equal(session.state.unread, 2);
  assert.ok(session.state.notifications[1].read_at);
  response.resolve({ changed: 1 });
  await acting;
  assert.equal(session.state.unread, 2, 'stays until the event arrives');
});

test('a refused action is reverted and reported', async () => {
  const { session, events } = await open({ 'POST read': () => ({ status: 422, code: 'invalid' }) });
  await assert.rejects(session.read('all'), { code: 'invalid' });
  assert.equal(session.state.unread, 3);
  assert.equal(session.state.notifications[0].read_at, null);
  assert.deepEqual(events.map(({ type, detail }) => [type, detail.code]), [['refused', 'invalid']]);
});

test('a notification that arrives during an action stays when the action is reverted', async () => {
  const response = later();
  const { env, session } = await open({ 'POST archive': () => response.promise });
  const acting = assert.rejects(session.archive([notification(3).id]));
  env.link.receive(arrival(4, 4));
  assert.deepEqual(numbers(session), [4, 2, 1]);
  response.resolve({ status: 500 });
  await acting;
  assert.deepEqual(numbers(session), [4, 3, 2, 1]);
  assert.equal(session.state.unread, 4);
});

test('an unrelated event does not undo a pending action', async () => {
  const response = later();
  const { env, session } = await open({ 'POST read': () => response.promise });
  const acting = session.read([notification(3).id]);
  env.link.receive(arrival(4, 4));
  assert.equal(session.state.unread, 3);
  response.resolve({ changed: 1 });
  await acting;
  env.link.receive({ type: 'counts', changed: 'read', ids: [notification(3).id], at: '2026-01-02T00:00:00Z', ...counts(3) });
  assert.equal(session.state.unread, 3);
  assert.equal(session.state.notifications[1].read_at, '2026-01-02T00:00:00Z', 'the server’s time is used');
});

test('marking as unread on another device overrides a confirmed action', async () => {
  const { env, session } = await open();
  await session.read([notification(3).id]);
  env.link.receive({ type: 'notification-update', notification: notification(3), ...counts(3) });
  assert.equal(session.state.unread, 3);
});

test('an older page is requested once and appended', async () => {
  const pages = [page([9, 8], { next: 'c1', unread: 4 }), page([5, 4], { unread: 4 })];
  const { env, session } = await open({ 'GET inbox': (url) => pages[url.searchParams.get('before') === 'c1' ? 1 : 0] });
  assert.equal(session.state.next, 'c1');
  await Promise.all([session.loadMore(), session.loadMore()]);
  assert.deepEqual(numbers(session), [9, 8, 5, 4]);
  assert.equal(session.state.next, null);
  await session.loadMore();
  assert.equal(env.requests.length, 2);
});

test('a change that arrives during a page request is applied to the page', async () => {
  const response = later();
  const first = page([9, 8], { next: 'c1' });
  const { env, session } = await open({ 'GET inbox': (url) => (url.searchParams.has('before') ? response.promise : first) });
  const loading = session.loadMore();
  env.link.receive({ type: 'notification-update', notification: notification(5, { title: 'Edited' }), ...counts(4) });
  response.resolve(page([5, 4]));
  await loading;
  assert.equal(session.state.notifications[2].title, 'Edited');
});

test('a reset refetches the inbox and applies events that arrive meanwhile', async () => {
  const response = later();
  let fetches = 0;
  const { env, session } = await open({ 'GET inbox': () => (fetches++ ? response.promise : page([3, 2, 1])) });
  env.link.receive({ type: 'reset', ...counts(2) });
  env.link.receive(arrival(8, 3));
  response.resolve(page([7, 6], { position: 'p2' }));
  await settled();
  await settled();
  assert.deepEqual(numbers(session), [8, 7, 6]);
  assert.equal(fetches, 2);
});

test('a session that was closed before its alert alerts again once it is reopened', async () => {
  const { env, session } = await open();
  const alerts = [];
  session.addEventListener('alert', ({ detail }) => alerts.push(detail.map(({ id }) => id)));
  env.link.receive(arrival(4, 4));
  session.close();
  session.open();
  await settled();
  env.link.receive(ready({ position: 'p2' }));
  env.link.receive(arrival(5, 5));
  await env.timers.advance(100);
  assert.deepEqual(alerts, [[notification(5).id]]);
});

for (const [name, during] of Object.entries({
  'counters change': ({ env }) => env.link.receive({ type: 'counts', changed: 'seen', ids: [], at: '2026-01-01T00:00:00Z', ...counts(5) }),
  'one of them arrives': ({ env }) => env.link.receive(arrival(6, 6)),
  'the inbox is read as a view': ({ session }) => void session.view({}).state,
})) {
  test(`notifications missed before a reset are reported once if ${name} meanwhile`, async () => {
    const response = later();
    let fetches = 0;
    const { env, session, events } = await open({ 'GET inbox': () => (fetches++ ? response.promise : page([3, 2, 1])) });
    env.link.receive({ type: 'reset', ...counts(5) });
    during({ env, session });
    response.resolve(page([6, 5, 4, 3, 2, 1]));
    await settled();
    await settled();
    assert.deepEqual(events.map(({ detail }) => Number(detail.id.slice(-4))).sort(), [4, 5, 6]);
    assert.equal(fetches, 2);
  });
}

test('a session without a connection finds new notifications by fetching', async () => {
  let inbox = page([1]);
  const { env, session } = await open({ 'GET inbox': () => inbox, 'GET counts': () => inbox });
  inbox = page([2, 1], { position: 'p7' });
  env.link.disconnect();
  for (let i = 0; i < 3; i++) {
    await env.timers.advance(30_000);
    env.link.disconnect();
    await settled();
  }
  assert.deepEqual(numbers(session), [2, 1]);
});

test('a reconnected session resumes without fetching again', async () => {
  const { env } = await open();
  env.link.disconnect();
  await settled();
  await env.timers.advance(1_000);
  env.link.receive(ready());
  assert.deepEqual(env.requests.map(({ url }) => url.pathname), ['/v1/inbox']);
});

test('a refused token ends the session and reports the reason', async () => {
  const { session } = await open({ 'GET inbox': () => ({ status: 401, code: 'unauthenticated' }) });
  const { status, error, loaded } = session.state;
  assert.deepEqual([status, error?.code, loaded], ['closed', 'unauthenticated', false]);
});

test('a closed session has no timers and no connection', async () => {
  const { env, session } = await open();
  session.close();
  assert.equal(session.state.status, 'closed');
  assert.equal(env.timers.count, 0);
  assert.equal(env.link.closed, true);
});

test('a session can be iterated until it closes', async () => {
  const { env, session } = await open();
  const events = [];
  const listening = (async () => {
    for await (const { type, detail } of session) events.push([type, detail.id ?? detail.name]);
  })();
  env.link.receive(arrival(4, 4));
  env.link.receive({ type: 'event', name: 'lead.assigned', data: {} });
  await settled();
  session.close();
  await listening;
  assert.deepEqual(events, [['notification', notification(4).id], ['event', 'lead.assigned']]);
});

test('a deferred action is shown immediately and is sent only on commit', async () => {
  const { env, session } = await open();
  const first = session.hold('delete', notification(3).id);
  assert.deepEqual(numbers(session), [2, 1]);
  first.undo();
  assert.deepEqual(numbers(session), [3, 2, 1]);
  const second = session.hold('delete', notification(2).id);
  const deleteRequests = () => env.requests.filter(({ url }) => url.pathname === '/v1/inbox/delete').length;
  await settled();
  assert.equal(deleteRequests(), 0);
  second.commit();
  await settled();
  assert.equal(deleteRequests(), 1);
});

test('a deferred action that was sent because the page was left cannot be undone', async () => {
  const { env, session } = await open();
  const { undo } = session.hold('delete', notification(3).id);
  env.page.dispatchEvent(new Event('pagehide'));
  await settled();
  undo();
  assert.deepEqual(numbers(session), [2, 1]);
});

test('an action that waits for the response to another is sent once when the page is left', async () => {
  const response = later();
  const { env, session } = await open({ 'POST seen': () => response.promise });
  session.seen([notification(3).id]);
  session.read(notification(3).id);
  await settled();
  const sent = () => posted(env).map(({ url }) => url.pathname);
  assert.deepEqual(sent(), ['/v1/inbox/seen']);
  env.page.dispatchEvent(new Event('pagehide'));
  await settled();
  assert.deepEqual(sent(), ['/v1/inbox/seen', '/v1/inbox/read']);
  response.resolve({ changed: 1 }); // the browser restores the page
  await settled();
  assert.deepEqual(sent(), ['/v1/inbox/seen', '/v1/inbox/read']);
});

test('another view receives the same events as the inbox', async () => {
  const rows = page([3, 2, 1]);
  const { env, session } = await open({ 'GET inbox': (url) => (url.searchParams.get('view') === 'unread' ? { ...rows } : rows) });
  const view = session.view({ view: 'unread' });
  await settled();
  assert.equal(view.state.notifications.length, 3);
  env.link.receive({ type: 'counts', changed: 'read', ids: [notification(2).id], at: '2026-01-02T00:00:00Z', ...counts(2) });
  env.link.receive(arrival(4, 3));
  assert.deepEqual(view.state.notifications.map(({ id }) => Number(id.slice(-4))), [4, 3, 1]);
});

const posted = ({ requests }) => requests.filter(({ method }) => method !== 'GET');

test('a type narrows what is deleted', async () => {
  const { env, session } = await open({}, page([3, 2, 1], { notifications: [notification(3, { type: 'booking' }), notification(2)] }));
  const deleted = session.delete({ all: true, of: { type: 'booking' } });
  assert.deepEqual(numbers(session), [2]);
  await deleted;
  assert.deepEqual(posted(env).map(({ url, body }) => [url.pathname, body]), [['/v1/inbox/delete', { all: true, of: { type: 'booking' } }]]);
});

test('all read notifications are archived, whether loaded or not', async () => {
  const { env, session } = await open({}, page([3, 2, 1], { notifications: [notification(3, { read_at: '2026-01-01T00:00:00Z' }), notification(2)] }));
  await session.archive({ all: true, of: { view: 'read' } });
  assert.deepEqual(numbers(session), [2]);
  assert.deepEqual(posted(env).map(({ url, body }) => [url.pathname, body]), [['/v1/inbox/archive', { all: true, of: { view: 'read' } }]]);
});

test('snoozing, actions and preferences are requests', async () => {
  const { env, session } = await open({}, page([2]));
  await session.snooze('n1', { for: '3h' });
  await session.back();
  await session.takeAction('n1', 'a/b');
  await session.preferences({ muted: { order: true } });
  assert.deepEqual(posted(env).map(({ method, url, body }) => [method, url.pathname, body]), [
    ['POST', '/v1/inbox/snooze', { ids: ['n1'], for: '3h' }], ['POST', '/v1/inbox/back', undefined], ['POST', '/v1/inbox/n1/actions/a%2Fb', undefined], ['PATCH', '/v1/preferences', { muted: { order: true } }],
  ]);
});

test('a snoozed notification that returns is announced', async () => {
  const { env, session } = await open({}, page([1]));
  const reported = [];
  session.addEventListener('notification', ({ detail }) => reported.push(detail.id));
  const snoozed = notification(1, { snoozed_until: '2026-02-03T00:00:00.000Z' });
  env.link.receive({ type: 'notification-update', notification: snoozed, ...counts(2) });
  env.link.receive({ type: 'notification', notification: { ...snoozed, snoozed_until: null, woken_at: '2026-02-03T00:00:00.000Z' }, ...counts(3) });
  assert.deepEqual(reported, [snoozed.id]);
});

for (const which of [
  { all: true, of: { tags: 'vip' } }, { all: true, of: { type: 'booking', group: 'vip' } }, { all: true, of: { type: undefined } }, { all: true, of: { type: '' } },
  { all: true, of: {} }, { all: true, of: 'booking' }, { all: true, of: undefined }, { all: true, of: null }, { all: true, of: ['booking'] }, { all: true, of: { type: 7 } },
  { all: true, of: { type: 'booking', tag: undefined } }, { all: true, of: { view: 'read', type: null } }, { all: true, of: { view: 'read', tag: '' } }, { all: true, type: 'booking' }, { all: false }, { all: 'booking' }, {}, { ids: ['a'] }, undefined, null, 7,
]) {
  for (const verb of ['delete', 'read']) {
    test(`${verb} of ${JSON.stringify(which)} is an error, and nothing is sent`, async () => {
      const { env, session } = await open();
      await assert.rejects(session[verb](which), TypeError);
      assert.throws(() => session.hold(verb, which), TypeError);
      assert.deepEqual(numbers(session), [3, 2, 1]);
      assert.deepEqual(posted(env), []);
    });
  }
}

test('a second argument is an error: a filter in it would be lost', async () => {
  const { env, session } = await open();
  for (const which of ['all', notification(1).id, [notification(1).id]]) {
    await assert.rejects(session.delete(which, { type: 'booking' }), TypeError);
    assert.throws(() => session.hold('delete', which, { type: 'booking' }), TypeError);
  }
  assert.deepEqual(posted(env), []);
});

test('snoozing all is an error, and ids are those of the first argument', async () => {
  const { env, session } = await open();
  await assert.rejects(session.snooze('all', { for: '3h' }), TypeError);
  await assert.rejects(session.snooze({ all: true }, { for: '3h' }), TypeError);
  await assert.rejects(session.snooze('1', { for: NaN }), TypeError);
  assert.deepEqual(posted(env), []);
  await session.snooze(['1'], { for: '3h', ids: ['2'] });
  assert.deepEqual(posted(env).map(({ body }) => body), [{ for: '3h', ids: ['1'] }]);
});

test('a preference without a value is an error, and null removes one', async () => {
  const { env, session } = await open();
  const sent = () => posted(env).map(({ body }) => body);
  for (const value of [undefined, NaN, Infinity]) await assert.rejects(session.preferences({ muted: { news: value } }), TypeError);
  assert.deepEqual(sent(), []);
  await session.preferences({ muted: { news: null } });
  assert.deepEqual(sent(), [{ muted: { news: null } }]);
});

test('an unknown option or filter throws', () => {
  assert.throws(() => new Session({ server: 'https://bell.example', url: '/' }), { message: 'Session: invalid option url' });
  const session = new Session({ server: 'https://bell.example', environment: fakeEnvironment() });
  assert.throws(() => session.view({ types: 'booking' }), { message: 'view: invalid option types' });
  assert.throws(() => session.view({ limit: 5 }), TypeError);
  assert.throws(() => session.view({ view: 'zz' }), { message: 'view: invalid option view' }); // it would never load
  for (const filter of [{ view: 'all' }, { view: 'unread' }, { view: 'read', type: 'a"\nb' }, { view: 'archived', tag: 'é' }, { view: 'snoozed' }]) session.view(filter);
  for (const empty of [undefined, null, '', 0, ['a']]) for (const name of ['view', 'type', 'tag']) assert.throws(() => session.view({ [name]: empty }), { message: `view: invalid option ${name}` });
  assert.throws(() => new Session({ server: 'https://bell.example', topics: 'news' }), { message: 'Session: invalid option topics' });
});

test('views with equal filters share one request', async () => {
  const { env, session } = await open();
  const searches = () => env.requests.map(({ url }) => url.search);
  const before = searches().length;
  session.view({ view: 'all' });
  session.view({ type: 'booking', view: 'unread' });
  session.view({ view: 'unread', type: 'booking' });
  await settled();
  assert.deepEqual(searches().slice(before), ['?view=unread&type=booking&limit=20'], 'the first is the inbox, the others are one view');
});

test('an offline action on all is sent as one request with the ids of that time', async () => {
  let unavailable = true;
  const rows = [notification(3, { type: 'booking' }), notification(2), notification(1, { type: 'booking' })];
  const { env, session } = await open({ 'POST delete': () => (unavailable ? { status: 503 } : { changed: 3 }) }, page([3, 2, 1], { notifications: rows }));
  void session.delete('all');
  await settled();
  const narrowed = session.delete({ all: true, of: { type: 'booking' } });
  unavailable = false;
  await env.timers.advance(5_000);
  await narrowed;
  assert.deepEqual(posted(env).slice(1).map(({ url, body }) => [url.pathname, body]), [
    ['/v1/inbox/delete', { ids: rows.map(({ id }) => id) }],
    ['/v1/inbox/delete', { all: true, of: { type: 'booking' } }],
  ]);
});

test('an offline action on all of a type is sent with the ids of that time', async () => {
  let unavailable = true;
  const rows = [notification(3, { type: 'booking' }), notification(2)];
  const { env, session } = await open({ 'POST delete': () => (unavailable ? { status: 503 } : { changed: 1 }) }, page([3, 2], { notifications: rows }));
  const deleted = session.delete({ all: true, of: { type: 'booking' } });
  await settled();
  env.link.receive(arrival(4, 3, { type: 'booking' }));
  unavailable = false;
  await env.timers.advance(5_000);
  await deleted;
  assert.deepEqual(posted(env).at(-1).body, { ids: [notification(3).id] });
});

test('a hanging request blocks later actions only until its timeout', async () => {
  let hangs = true;
  const { env, session } = await open({ 'POST read': () => (hangs ? new Promise(() => {}) : { changed: 1 }) });
  const read = session.read(notification(3).id);
  const archived = session.archive(notification(2).id);
  await settled();
  hangs = false;
  await env.timers.advance(35_000);
  await Promise.all([read, archived]);
  assert.deepEqual(posted(env).map(({ url }) => url.pathname), ['/v1/inbox/read', '/v1/inbox/read', '/v1/inbox/archive']);
});

/** Returns a function that lists the views fetched since this call. */
function fetches({ requests }) {
  const from = requests.length;
  return () => requests.slice(from).filter(({ method }) => method === 'GET').map(({ url }) => url.searchParams.get('view') ?? 'inbox').sort();
}

test('a reset refetches views when they are read and releases unread ones', async () => {
  const { env, session } = await open();
  const shown = session.view({ view: 'unread' });
  session.view({ view: 'archived' });
  await settled();
  session.addEventListener('change', () => shown.state);
  for (const [turn, expected] of [['first', ['inbox', 'unread']], ['second', ['inbox', 'unread']]]) {
    const fetched = fetches(env);
    env.link.receive({ type: 'reset', ...counts(3, 3, `after the ${turn}`) });
    await settled();
    await settled();
    assert.deepEqual(fetched(), expected, turn);
  }
  const fetched = fetches(env);
  assert.equal(session.view({ view: 'archived' }).state.loaded, false, 'released');
  await settled();
  assert.deepEqual(fetched(), ['archived']);
  assert.equal(session.view({ view: 'archived' }).state.loaded, true);
});

test('a released view is fetched when it is read again', async () => {
  const { env, session } = await open();
  const view = session.view({ view: 'archived' });
  await settled();
  for (const position of ['p2', 'p3']) {
    env.link.receive({ type: 'reset', ...counts(3, 3, position) });
    await settled();
  }
  assert.equal(view.state.loaded, false);
  await settled();
  assert.equal(view.state.loaded, true);
  env.link.receive({ type: 'notification-update', notification: notification(2, { archived_at: '2026-01-02T00:00:00Z' }), ...counts(2) });
  assert.deepEqual(numbers(view), [2], 'and receives events');
});

test('a session whose getToken never settles calls it again and goes live', async () => {
  const env = fakeEnvironment(() => page([1]));
  const tokens = [new Promise(() => {}), 'one'];
  const session = new Session({ server: 'https://bell.example', getToken: () => tokens.shift(), environment: env }).open();
  await env.timers.advance(60_000);
  env.link.receive(ready({ unread: 1, unseen: 1 }));
  assert.equal(session.state.status, 'live');
});

test('tokenUrl is fetched with cookies for the token', async () => {
  const env = fakeEnvironment((request) => (request.url.pathname === '/bell-token' ? { token: 'one' } : page([1])));
  const session = new Session({ server: 'https://bell.example', tokenUrl: 'https://shop.example/bell-token', environment: env }).open();
  await env.timers.advance(1);
  env.link.receive(ready({ unread: 1, unseen: 1 }));
  assert.equal(session.state.status, 'live');
  assert.deepEqual(env.requests.filter(({ url }) => url.pathname === '/bell-token').map(({ credentials }) => credentials), ['include']);
});
