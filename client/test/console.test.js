/** The console's modules, which are served unbuilt: every name in them is defined or imported. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';

const FOLDER = new URL('../../src/bellcast/console/pages/console/files/', import.meta.url);
const COMPILER = new URL('../node_modules/typescript/bin/tsc', import.meta.url);
const OPTIONS = ['--ignoreConfig', '--noEmit', '--allowJs', '--checkJs', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2023,dom,dom.iterable'];
/** An unknown name (also with a proposal, as a type's name, or as a shorthand property), and an import of what a module does not export. The other rules are
 * about types, which these modules do not declare. */
const UNDEFINED_NAME = /error TS(2304|2552|2693|18004|2305|2724)/;

test('requests of the console go to the path of its server, also of one below a folder that begins with a tilde', async () => {
  const source = readFileSync(new URL('server.js', FOLDER), 'utf8');
  const places = { '/console': '', '/console/~0ab': '', '/docs/~0ab': '', '/~ann/console': '/~ann', '/~ann/server/console/~0ab': '/~ann/server' };
  for (const [place, root] of Object.entries(places)) {
    const url = JSON.stringify(`https://example.com${place}/server.js`);
    const { ROOT } = await import(`data:text/javascript,${encodeURIComponent(source.replace('import.meta.url', url))}`);
    assert.equal(ROOT, root, place);
  }
});

test('a cron expression is shown in words', async () => {
  const { cronText } = await import(new URL('cron-text.js', FOLDER));
  const shown = { '30 18 * * 1-5': 'Monday to Friday at 18:30', '0 9 * * mon': 'Every Monday at 09:00', '5 7 * * 7': 'Every Sunday at 07:05', '0 3 * * *': 'Every day at 03:00', '0 6 1 * *': 'Monthly on day 1 at 06:00' };
  for (const [cron, text] of Object.entries(shown)) assert.equal(cronText(cron), text);
  for (const cron of ['*/5 * * * *', '0 9 1 * mon', '0 9 * 6 *', '0 9 * * mon,tue', '0 9 L * *', '@daily', '']) assert.equal(cronText(cron), cron);
});

test('a heading of a day has its name, or its weekday, and the year if that is another', async (t) => {
  const { dayName, zone } = await import(new URL('format.js', FOLDER));
  zone.value = 'Europe/Vienna';
  // Half an hour after midnight, on the day after a day of 23 hours.
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2027-03-28T22:30:00Z') });
  const shown = { '2027-03-28T22:10:00Z': 'Today', '2027-03-28T21:50:00Z': 'Yesterday', '2027-03-27T23:10:00Z': 'Yesterday', '2027-03-27T22:50:00Z': 'Saturday 27 Mar', '2026-03-29T08:00:00Z': 'Sunday 29 Mar 2026' };
  for (const [at, name] of Object.entries(shown)) assert.equal(dayName(at), name, at);
});

test('a date of another year has the year', async (t) => {
  const { dayTime, relativeTime, timeSpan, zone } = await import(new URL('format.js', FOLDER));
  zone.value = 'Europe/Vienna';
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-11-29T12:00:00Z') });
  assert.equal(relativeTime('2026-12-31T22:59:00Z'), '31 Dec, 23:59');
  assert.equal(relativeTime('2026-12-31T23:00:00Z'), '1 Jan 2027');
  assert.equal(relativeTime('2027-11-29T12:00:00Z'), '29 Nov 2027');
  assert.equal(dayTime('2025-11-29T12:00:00Z'), '29 Nov 2025, 13:00');
  assert.equal(timeSpan('2026-12-31T22:00:00Z', '2026-12-31T23:30:00Z'), '31 Dec, 23:00 to 1 Jan 2027, 00:30');
});

test('a duration from a minute has the rest in the next unit', async () => {
  const { duration } = await import(new URL('format.js', FOLDER));
  const shown = { 0: '0 ms', 12_700: '12.7 s', 60_000: '1 min', 203_400: '3 min 23 s', 3_599_900: '60 min', 55_080_000: '15 h 18 min', 90_000_000: '1 d 1 h' };
  for (const [ms, text] of Object.entries(shown)) assert.equal(duration(Number(ms)), text);
});

test('YAML has tones for values, variables and comments, and none for keys', async () => {
  const { tonesOf } = await import(new URL('yaml-tones.js', FOLDER));
  const tones = (line) => tonesOf(line)[0].filter(([, text]) => text);
  assert.deepEqual(tones('  - key: bell'), [['', '  - key: '], ['string', 'bell']]);
  assert.deepEqual(tones('value: 100'), [['', 'value: '], ['literal', '100']]);
  assert.deepEqual(tones('title: "Hi {{ data.name }}"'), [['', 'title: '], ['string', '"Hi '], ['variable', '{{ data.name }}'], ['string', '"']]);
  assert.deepEqual(tones('# Why: 1'), [['comment', '# Why: 1']]);
  assert.deepEqual(tones('- 10:30'), [['', '- '], ['string', '10:30']]);
  assert.deepEqual(tones('title: a\u2028b'), [['', 'title: '], ['string', 'a\u2028b']]);
  assert.deepEqual(tonesOf('text: |\n  steps: 1\n\n  two\nnote: true').map((parts) => parts.at(-1)), [['', '|'], ['string', '  steps: 1'], ['string', ''], ['string', '  two'], ['literal', 'true']]);
});

test('a step with another key is renamed, not removed and added', async () => {
  const { differencesOf } = await import(new URL('workflow-model.js', FOLDER));
  const wait = { key: 'wait', type: 'delay', for: '1h' }, bell = { key: 'bell', type: 'inbox', title: 'Hi' };
  const kinds = (before, after) => differencesOf({ steps: before }, { steps: after }).map(([kind, key, detail]) => `${key} ${kind} ${detail}`);
  assert.deepEqual(kinds([bell, wait], [bell, { ...wait, key: '2' }]), ['wait renamed to 2']);
  assert.deepEqual(kinds([bell, wait], [{ ...wait, key: '2' }, bell]).filter((one) => /added|removed/.test(one)), []);
  assert.deepEqual(kinds([wait], [{ ...wait, key: '2', for: '2h' }]), ['wait renamed to 2', '2 changed for']);
  assert.deepEqual(kinds([bell], [{ ...wait, key: '2' }]).map((one) => one.split(' ')[1]), ['added', 'removed']);
  const gate = { key: 'gate', type: 'branch', branches: [{ if: { var: 'data.a' }, steps: [bell] }] };
  assert.deepEqual(kinds([gate], [{ ...gate, key: 'fork' }]), ['gate renamed to fork']);
});

test('a request is the subject of a sentence', async () => {
  const { actOf, sentenceOf } = await import(new URL('audit-sentences.js', FOLDER));
  const said = { 'POST /v1/keys': 'Creating an API key', 'DELETE /v1/operators/7/mfa': 'Resetting the second factor of operator 7', 'PUT /v1/settings?dry_run=true': 'This change', 'POST /v1/webhooks/7/rotate?tenant=a': 'Replacing the secret of webhook 7' };
  for (const [request, text] of Object.entries(said)) assert.equal(actOf(...request.split(' ')), text);
  assert.equal(sentenceOf({ action: 'DELETE /v1/suppressions/{channel}/{address}', target: '/v1/suppressions/email/a%40b.example', outcome: 'ok' }), 'allowed a@b.example again for email');
});

test('a recipient of an entry of the audit log has the key that was sent', async () => {
  const { recipientOf, sentenceOf } = await import(new URL('audit-sentences.js', FOLDER));
  const keys = { '/v1/recipients/100%': '100%', '/v1/recipients/100%25?tenant=a': '100%', '/v1/recipients/100%2525': '100%25', '/v1/recipients/a%2Fb%23/sessions': 'a/b#', '/v1/topics/news/subscriptions/a%40b': 'a@b', '/v1/notifications?recipient=100%25&limit=1': '100%', '/v1/notifications?recipient=%': '%' };
  for (const [target, key] of Object.entries(keys)) assert.equal(recipientOf({ target }).recipient, key, target);
  for (const target of ['/v1/recipients', '/v1/recipients/bulk', '{"to": "/v1/recipients/ann"}', '']) assert.equal(recipientOf({ target }), null, target);
  assert.equal(recipientOf({ target: '/v1/recipients/ann?tenant=acme' }).tenant, 'acme');
  assert.equal(sentenceOf({ action: 'DELETE /v1/recipients/{key}', target: '/v1/recipients/100%', outcome: 'forbidden' }), 'tried to erase recipient 100%');
});

test('an attempt that waited for the password is left out only if the same actor then entered it', async () => {
  const { actsOf } = await import(new URL('audit-sentences.js', FOLDER));
  const entry = (minute, outcome, more = {}) => ({ at: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(), actor: 'ann', action: 'POST /v1/keys', target: '/v1/keys', address: '192.0.2.1', outcome, ...more });
  const shown = (...entries) => actsOf(entries.toReversed()).map(({ outcome }) => outcome).toReversed();
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'ok')), ['ok']);
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'ok', { action: 'PUT /v1/session/verification' }), entry(2, 'ok')), ['ok', 'ok']);
  // A stolen session stopped at the password; the owner did the same later, elsewhere, or after another refusal.
  assert.deepEqual(shown(entry(0, 'password_required'), entry(30, 'ok')), ['password_required', 'ok']);
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'ok', { address: '192.0.2.2' })), ['password_required', 'ok']);
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'ok', { actor: 'bob' })), ['password_required', 'ok']);
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'password_required'), entry(2, 'ok')), ['password_required', 'ok']);
  assert.deepEqual(shown(entry(0, 'password_required'), entry(1, 'forbidden'), entry(2, 'ok')), ['password_required', 'forbidden', 'ok']);
});

test('data of a preview has invented values of the kind that a name says, also for what the server masks', async () => {
  const { sampleOf, unmasked, variablesOf } = await import(new URL('sample-data.js', FOLDER));
  const template = { email: { subject: '{{ data.client }} in {{ data.place }}', text: "{{ data.total | money('EUR') }} at {{ data.time }}, {{ data.bookingKind }}, {{ data.when.to }}" } };
  const data = sampleOf(template, [{ path: 'data.time', type: 'string', example: 'time', from: 'types/x' }, { path: 'data.host', type: 'string', example: 'Grace', from: 'types/x' }]);
  assert.deepEqual(JSON.parse(JSON.stringify(data)), { client: 'Ann Lind', place: 'Vienna', total: 49, time: '14:00', bookingKind: 'Booking kind', when: { to: 'To' }, host: 'Grace' });
  assert.deepEqual(variablesOf(template, JSON.stringify(data)).find(({ path }) => path === 'data.when.to'), { path: 'data.when.to', example: 'To' });
  const masked = { customer: 'I•••', note: 'Call •••12 or a•••@e•••.com', url: 'https://shop.example/?•••', seats: 9, host: [{ name: 'B•••' }] };
  assert.deepEqual(unmasked(masked), { customer: 'Ann Lind', note: 'Call 555 0100 or ann@example.com', url: 'https://shop.example/example', seats: 9, host: [{ name: 'Ann Lind' }] });
});

test('data of a test comes to what depends on it: conditions are true, times are ahead, and repeated lists have items', async () => {
  const { dataOf } = await import(new URL('sample-data.js', FOLDER));
  const when = (name, op, value) => ({ var: `data.${name}`, op, value });
  const steps = [
    { key: 'gate', type: 'branch', branches: [{ if: when('total', 'gt', 100), steps: [] }, { if: when('total', 'lt', 10), steps: [] }], else: [] },
    { key: 'wait', type: 'delay', until: { var: 'data.starts_at' }, if: when('plan', 'ne', 'free') },
    { key: 'mail', type: 'email', text: '{% for one in data.bookings %}{{ one.client }}{% endfor %}{% for tag in data.tags %}{{ tag }}{% endfor %}' },
  ];
  const data = { type: 'object', properties: { total: { type: 'number' }, starts_at: { type: 'string', format: 'date-time' } } };
  const { total, starts_at: start, plan, bookings, tags } = JSON.parse(JSON.stringify(dataOf({ data, steps })));
  assert.deepEqual({ total, plan, bookings, tags }, { total: 101, plan: 'not free', bookings: [{ client: 'Ann Lind' }, { client: 'Ann Lind' }], tags: ['Tag', 'Tag'] });
  assert.ok(Date.parse(start) > Date.now());
});

test('data of a test has the first value of a list, a later date and a larger number, and none where no value is known', async () => {
  const { sampleOf } = await import(new URL('sample-data.js', FOLDER));
  const needed = (op, value) => sampleOf({ if: { var: 'data.x', op, value } }).x;
  assert.equal(needed('in', ['a', 'b']), 'a');
  assert.equal(needed('gt', '2026-01-31'), '2026-02-01');
  assert.equal(needed('gte', '2026-12-31T10:00:00Z'), '2027-01-01T10:00:00Z');
  assert.equal(needed('lt', '2026-03-01'), '2026-02-28');
  assert.deepEqual([needed('gt', 7), needed('gte', 7), needed('lt', 7), needed('lte', 7)], [8, 8, 6, 7]);
  assert.deepEqual([needed('gt', 'b'), needed('gt', '2026-99-99'), needed('gt', true), needed('in', [])], Array(4).fill('X'));
});

test('a variable that a send may leave out gets a default that its filters can take', async () => {
  const { withDefault } = await import(new URL('template-model.js', FOLDER));
  const blocks = [{ type: 'text', text: "{{ data.total | money('EUR') }}, {{data.total}} {{ data.total | default('x') }} {{ data.totals }} {{ data.total | date }}" }];
  assert.deepEqual(withDefault({ email: { blocks } }, 'data.total').email.blocks[0].text, "{{ data.total | default(0) | money('EUR') }}, {{data.total | default('') }} {{ data.total | default('x') }} {{ data.totals }} {{ data.total | date }}");
});

test('a language is named by its tag, in any spelling, or in English', async () => {
  const { tagOf } = await import(new URL('template-model.js', FOLDER));
  const found = (text) => tagOf(text, ['de', 'pt']);
  assert.deepEqual(['de', 'Ger', 'GERMAN', ' pt_br ', 'de-at'].map(found), ['de', 'de', 'de', 'pt-BR', 'de-AT']);
  assert.deepEqual(['', 'Germ', 'Swedish', 'de-a-b'].map(found), [null, null, null, null]);
});

test('every name in the modules of the console is defined', () => {
  const modules = readdirSync(FOLDER).filter((name) => name.endsWith('.js'));
  const { stdout } = spawnSync(process.execPath, [fileURLToPath(COMPILER), ...OPTIONS, ...modules], { cwd: fileURLToPath(FOLDER), encoding: 'utf8' });
  assert.match(stdout, /error TS/); // about types: the compiler has read them
  assert.deepEqual(stdout.split('\n').filter((line) => UNDEFINED_NAME.test(line)), []);
});
