/** Console warnings: each problem once, with the server's message and a link. */

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Refused } from '../src/bellcast/api.js';
import { Session } from '../src/bellcast/session.js';
import { warn } from '../src/bellcast/warnings.js';
import { settled, fakeEnvironment } from './environment.js';

const warned = mock.method(console, 'warn', () => {});
const texts = () => warned.mock.calls.map(({ arguments: [text] }) => text);
beforeEach(() => warned.mock.resetCalls());

let pages = 0;
/** A new server each time, since a warning is not repeated for the same server. */
function place(fetch = async () => new Response('ok'), token = async () => 'one') {
  const base = `https://bell-${++pages}.example/`;
  return { base, environment: { ...fakeEnvironment(), fetch }, credential: { token } };
}

test('an ended session warns once, with the reason', async () => {
  const env = fakeEnvironment(() => ({ status: 401, code: 'unauthenticated', detail: 'The token was signed by another project.' }));
  const session = new Session({ server: `https://bell-${++pages}.example`, token: 'one', environment: env });
  for (let turn = 0; turn < 2; turn++) {
    session.open();
    await settled();
    await settled();
  }
  assert.equal(session.state.error.code, 'unauthenticated');
  assert.deepEqual(texts(), [`Bellcast: The token was signed by another project. See https://bell-${pages}.example/errors/unauthenticated`]);
});

test('a refusal is warned about once, with the server’s detail and the error’s page', async () => {
  const here = place();
  for (let turn = 0; turn < 3; turn++) await warn(here, new Refused(401, { code: 'unauthenticated', detail: 'The token has expired.' }));
  assert.deepEqual(texts(), [`Bellcast: The token has expired. See ${here.base}errors/unauthenticated`]);
});

test('a page without credentials is advised to set a token, not a header', async () => {
  const detail = 'Credentials are missing or wrong: send `Authorization: Bearer …`.';
  const env = fakeEnvironment(() => ({ status: 401, code: 'unauthenticated', detail }));
  new Session({ server: `https://bell-${++pages}.example`, environment: env }).open();
  await settled();
  await settled();
  const advice = 'no token, and no session cookie that the server accepts: set `token`, `token-url` (`tokenUrl` of a `Session`) or `getToken`.';
  assert.deepEqual(texts(), [`Bellcast: ${advice} See https://bell-${pages}.example/errors/unauthenticated`]);
});

test('the server’s reason is kept for a page with cookies; a getToken without a token is named', async () => {
  const here = place();
  await warn(here, new Refused(401, { code: 'unauthenticated', detail: 'The app has no session for these cookies: sign in again.' }));
  here.credential.getToken = () => null;
  const advice = 'getToken (or the response of `token-url`) has no token, and there is no session cookie that the server accepts. Return a token for each signed-in user.';
  await warn(here, new Refused(401, { code: 'unauthenticated', detail: 'Send `Authorization: Bearer …`.' }));
  assert.deepEqual(texts(), [
    `Bellcast: The app has no session for these cookies: sign in again. See ${here.base}errors/unauthenticated`,
    `Bellcast: ${advice} See ${here.base}errors/unauthenticated`,
  ]);
});

test('another problem is another warning', async () => {
  const here = place();
  await warn(here, new Refused(401, { code: 'unauthenticated', detail: 'The token has expired.' }));
  await warn(here, new Refused(4401, { code: 'revoked' }));
  await warn(here, { topic: 'secret', code: 'forbidden', message: 'Not for you.' });
  assert.deepEqual(texts().slice(1), [
    `Bellcast: the server closed the connection: revoked. See ${here.base}errors/unauthenticated`,
    `Bellcast: the topic "secret" was refused: Not for you. See ${here.base}errors/forbidden`,
  ]);
});

for (const status of [429, 502, 503, 504]) {
  test(`a temporary ${status} causes no warning`, async () => {
    await warn(place(), new Refused(status, { code: 'unavailable' }));
    assert.deepEqual(texts(), []);
  });
}

test('a response of another server is reported as such', async () => {
  const here = place();
  await warn(here, new Refused(404, {}));
  assert.deepEqual(texts(), [`Bellcast: ${here.base} responded with HTTP 404, but not like a Bellcast server. Set \`server\` to the server's address.`]);
});

test('a failed request is explained by a probe', async () => {
  const there = place();
  await warn(there, new TypeError('Failed to fetch'));
  assert.match(texts()[0], /responds, but this page may not read it \(Failed to fetch\)\. .* CORS headers/);
  const unreachable = place(() => Promise.reject(new TypeError('Failed to fetch')));
  await warn(unreachable, new TypeError('Failed to fetch'));
  assert.ok(texts()[1].startsWith(`Bellcast: no response from ${unreachable.base} (Failed to fetch).`));
});

test('a failing getToken is not reported as a server problem', async () => {
  await warn(place(undefined, () => Promise.reject(new Error('no app'))), new TypeError('Failed to fetch'));
  assert.deepEqual(texts(), ['Bellcast: getToken failed: no app']);
});

test('being offline causes no warning', async () => {
  const here = place();
  here.environment.online = () => false;
  await warn(here, new TypeError('Failed to fetch'));
  assert.deepEqual(texts(), []);
  await warn(here, { topic: 'desk', code: 'forbidden', message: 'not yours' });
  assert.equal(texts().length, 1, 'a response is reported: the server runs on this machine');
});

test('a page reports at most fifty warnings', async () => {
  const here = place();
  for (let number = 0; number < 100; number++) await warn(here, { topic: `topic-${number}`, code: 'forbidden', message: '' });
  const before = texts().length;
  assert.ok(before > 0 && before <= 50);
  await warn(here, { topic: 'another', code: 'forbidden', message: '' });
  assert.equal(texts().length, before);
});
