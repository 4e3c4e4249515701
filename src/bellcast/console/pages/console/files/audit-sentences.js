/**
 * What an entry of the audit log says: "saved workflow reminder", or "tried to save workflow reminder" if it was refused.
 */

/** What each operation does, as an infinitive, with the names of its path. An export of a list reads it in another format. */
const PHRASES = {
  'POST /mcp': 'call a tool',

  'GET /v1/notifications': 'read the sent notifications', 'GET /v1/notifications/{id}': 'read notification {id}', 'GET /v1/announcements': 'read the announcements', 'GET /v1/explain': 'read why a notification was delivered or not',
  'POST /v1/notifications': 'send a notification', 'POST /v1/notifications/bulk': 'send many notifications', 'PATCH /v1/notifications/{id}': 'correct notification {id}', 'DELETE /v1/notifications/{id}': 'recall notification {id}', 'POST /v1/import': 'import notifications of another system',

  'GET /v1/messages': 'read the messages', 'GET /v1/messages/{id}': 'read message {id}', 'GET /v1/messages/{id}/attempts': 'read the attempts of message {id}', 'GET /v1/messages/{id}/eml': 'download e-mail {id}', 'GET /v1/messages/{id}/html': 'read the HTML of e-mail {id}', 'GET /v1/messages/{id}/raw': 'read the source of e-mail {id}',
  'POST /v1/messages/retry': 'retry failed messages', 'POST /v1/messages/{id}/retry': 'retry message {id}', 'POST /v1/messages/{id}/release': 'release simulated message {id}', 'POST /v1/mailbox-link': 'create a link to the mailbox',
  'GET /v1/failures': 'read the failures', 'GET /v1/failures/causes': 'read the causes of failures', 'GET /v1/replays': 'read the replays', 'GET /v1/replays/{id}': 'read replay {id}', 'POST /v1/replays': 'replay failures', 'DELETE /v1/replays/{id}': 'cancel replay {id}',
  'GET /v1/suppressions': 'read the suppressed addresses', 'PUT /v1/suppressions/{channel}/{address}': 'suppress {address} for {channel}', 'DELETE /v1/suppressions/{channel}/{address}': 'allow {address} again for {channel}',
  'GET /v1/jobs': 'read the dead jobs', 'POST /v1/jobs/{id}/retry': 'retry dead job {id}', 'DELETE /v1/jobs/{id}': 'delete dead job {id}',

  'GET /v1/connections': 'read the connections', 'DELETE /v1/connections/{id}': 'close connection {id}', 'POST /v1/events': 'publish a live event', 'GET /v1/feed': 'watch the live feed', 'GET /v1/requests': 'read the requests',
  'GET /v1/topics': 'read the topics', 'GET /v1/topics/{topic}/events': 'read the live events of topic {topic}', 'DELETE /v1/topics/{topic}/events': 'delete the live events of topic {topic}', 'GET /v1/topics/{topic}/presence': 'read the presence of topic {topic}',
  'GET /v1/topics/{topic}/subscriptions': 'read the subscriptions of topic {topic}', 'PUT /v1/topics/{topic}/subscriptions/{recipient}': 'subscribe {recipient} to topic {topic}', 'DELETE /v1/topics/{topic}/subscriptions/{recipient}': 'unsubscribe {recipient} from topic {topic}',

  'GET /v1/recipients': 'read the recipients', 'GET /v1/recipients/{key}': 'read recipient {key}', 'GET /v1/recipients/{key}/export': 'export recipient {key}', 'POST /v1/recipients/bulk': 'save many recipients', 'PUT /v1/recipients/{key}': 'save recipient {key}', 'PATCH /v1/recipients/{key}': 'change recipient {key}', 'DELETE /v1/recipients/{key}': 'erase recipient {key}',
  'GET /v1/recipients/{key}/preferences': 'read the preferences of recipient {key}', 'PUT /v1/recipients/{key}/preferences': 'save the preferences of recipient {key}', 'PATCH /v1/recipients/{key}/preferences': 'change the preferences of recipient {key}', 'POST /v1/recipients/{key}/preferences-link': 'create a preferences link for recipient {key}',
  'GET /v1/recipients/{key}/push-endpoints': 'read the push endpoints of recipient {key}', 'GET /v1/recipients/{key}/push-endpoints/key': 'read the push key for recipient {key}', 'POST /v1/recipients/{key}/push-endpoints': 'register a push endpoint of recipient {key}', 'DELETE /v1/recipients/{key}/push-endpoints/{id}': 'delete a push endpoint of recipient {key}',
  'GET /v1/recipients/{key}/subscriptions': 'read the subscriptions of recipient {key}', 'DELETE /v1/recipients/{key}/sessions': 'end the sessions of recipient {key}',

  'GET /v1/tenants': 'read the tenants', 'GET /v1/tenants/{key}': 'read tenant {key}', 'GET /v1/tenants/{key}/export': 'export tenant {key}', 'PUT /v1/tenants/{key}': 'save tenant {key}', 'DELETE /v1/tenants/{key}': 'erase tenant {key}', 'GET /v1/tenants/{key}/brand': 'read the brand of tenant {key}', 'PUT /v1/tenants/{key}/brand': 'save the brand of tenant {key}',

  'GET /v1/runs': 'read the workflow runs', 'GET /v1/runs/{id}': 'read run {id}', 'POST /v1/runs/{id}/retry': 'retry run {id}', 'DELETE /v1/runs/{id}': 'cancel run {id}',
  'GET /v1/workflows': 'read the workflows', 'GET /v1/workflows/{key}': 'read workflow {key}', 'PUT /v1/workflows/{key}': 'save workflow {key}', 'PATCH /v1/workflows/{key}': 'change workflow {key}', 'DELETE /v1/workflows/{key}': 'delete workflow {key}', 'POST /v1/workflows/{key}/cancel': 'cancel runs of workflow {key}',
  'GET /v1/workflows/{key}/draft': 'read the draft of workflow {key}', 'PUT /v1/workflows/{key}/draft': 'save the draft of workflow {key}', 'DELETE /v1/workflows/{key}/draft': 'discard the draft of workflow {key}', 'POST /v1/workflows/{key}/publish': 'publish the draft of workflow {key}',
  'GET /v1/workflows/{key}/inferred-schema': 'read the inferred schema of workflow {key}', 'GET /v1/workflows/{key}/stats': 'read the figures of workflow {key}', 'GET /v1/workflows/{key}/versions': 'read the versions of workflow {key}', 'POST /v1/workflows/{key}/simulate': 'simulate workflow {key}', 'POST /v1/workflows/{key}/trigger': 'trigger workflow {key}',

  'GET /v1/templates': 'read the templates', 'GET /v1/templates/{key}': 'read template {key}', 'PUT /v1/templates/{key}': 'save template {key}', 'PATCH /v1/templates/{key}': 'change the current version of template {key}', 'DELETE /v1/templates/{key}': 'delete template {key}', 'POST /v1/templates/import': 'convert an e-mail',
  'GET /v1/templates/{key}/draft': 'read the draft of template {key}', 'PUT /v1/templates/{key}/draft': 'save the draft of template {key}', 'DELETE /v1/templates/{key}/draft': 'discard the draft of template {key}', 'POST /v1/templates/{key}/publish': 'publish the draft of template {key}',
  'POST /v1/templates/{key}/check': 'check template {key}', 'GET /v1/templates/{key}/html': 'preview the HTML of template {key}', 'POST /v1/templates/{key}/html': 'preview the HTML of template {key}', 'POST /v1/templates/{key}/preview': 'preview template {key}', 'POST /v1/templates/{key}/test': 'send a test of template {key}',
  'GET /v1/templates/{key}/samples': 'read the sample data of template {key}', 'GET /v1/templates/{key}/variables': 'read the variables of template {key}', 'GET /v1/templates/{key}/versions': 'read the versions of template {key}',
  'POST /v1/editor-tokens': 'create an editor token', 'DELETE /v1/editor-tokens': 'end all editor tokens of the tenant',

  'GET /v1/types': 'read the notification types', 'GET /v1/types/{key}': 'read notification type {key}', 'GET /v1/types/{key}/inferred-schema': 'read the inferred schema of notification type {key}', 'PUT /v1/types/{key}': 'save notification type {key}', 'DELETE /v1/types/{key}': 'delete notification type {key}',
  'GET /v1/schedules': 'read the schedules', 'GET /v1/schedules/{key}': 'read schedule {key}', 'GET /v1/schedules/{key}/next': 'read the next times of schedule {key}', 'PUT /v1/schedules/{key}': 'save schedule {key}', 'DELETE /v1/schedules/{key}': 'delete schedule {key}', 'POST /v1/schedules/{key}/run': 'fire schedule {key}',
  'GET /v1/sources': 'read the event sources', 'GET /v1/sources/{key}': 'read event source {key}', 'PUT /v1/sources/{key}': 'save event source {key}', 'DELETE /v1/sources/{key}': 'delete event source {key}',
  'GET /v1/preference-defaults': 'read the preference defaults', 'PUT /v1/preference-defaults': 'save the preference defaults', 'PATCH /v1/preference-defaults': 'change the preference defaults', 'DELETE /v1/preference-defaults': 'delete the preference defaults',
  'GET /v1/bundle': 'read the state of all objects', 'POST /v1/bundle': 'write objects from files', 'POST /v1/bundle/unlock': 'unlock an object of git', 'GET /v1/schemas/{name}': 'read the schema of {name}',

  'GET /v1/providers': 'read the providers', 'GET /v1/providers/{key}': 'read provider {key}', 'PUT /v1/providers/{key}': 'save provider {key}', 'DELETE /v1/providers/{key}': 'delete provider {key}', 'POST /v1/providers/{key}/test': 'test provider {key}',
  'GET /v1/pusher-apps': 'read the Pusher apps', 'GET /v1/pusher-apps/{id}': 'read Pusher app {id}', 'POST /v1/pusher-apps': 'create a Pusher app', 'PATCH /v1/pusher-apps/{id}': 'change Pusher app {id}', 'DELETE /v1/pusher-apps/{id}': 'delete Pusher app {id}', 'POST /v1/pusher-apps/{id}/rotate': 'replace the secret of Pusher app {id}',
  'GET /v1/webhooks': 'read the webhooks', 'GET /v1/webhooks/{id}': 'read webhook {id}', 'POST /v1/webhooks': 'create a webhook', 'PATCH /v1/webhooks/{id}': 'change webhook {id}', 'DELETE /v1/webhooks/{id}': 'delete webhook {id}', 'POST /v1/webhooks/{id}/rotate': 'replace the secret of webhook {id}', 'POST /v1/webhooks/{id}/replay': 'replay past events to webhook {id}', 'GET /v1/webhooks/{id}/attempts': 'read the attempts of webhook {id}', 'POST /v1/webhooks/{id}/resend': 'resend an event to webhook {id}',
  'GET /v1/settings': 'read the settings', 'GET /v1/settings/history': 'read the history of the settings', 'PATCH /v1/settings': 'change settings', 'POST /v1/settings/rollback': 'return to earlier settings', 'POST /v1/settings/test': 'test settings',
  'GET /v1/nodes': 'read the nodes', 'GET /v1/stats': 'read the counts of the server', 'GET /v1/stats/series': 'read figures over time', 'POST /v1/doctor': 'run the doctor', 'GET /v1/test-clock': 'read the test clock', 'POST /v1/test-clock': 'advance the test clock',

  'GET /v1/keys': 'read the API keys', 'POST /v1/keys': 'create an API key', 'DELETE /v1/keys/{id}': 'revoke API key {id}', 'POST /v1/tokens': 'create a session token', 'GET /v1/secrets': 'read the counts of encrypted secrets', 'POST /v1/secrets/rotation': 're-encrypt all secrets',
  'GET /v1/operators': 'read the operators', 'POST /v1/operators': 'add an operator', 'PATCH /v1/operators/{id}': 'change operator {id}', 'DELETE /v1/operators/{id}': 'delete operator {id}', 'DELETE /v1/operators/{id}/mfa': 'reset the second factor of operator {id}', 'DELETE /v1/operators/{id}/sessions': 'end the sessions of operator {id}',
  'GET /v1/audit': 'read the audit log', 'GET /v1/audit/verification': 'verify the audit log',
  'GET /v1/me': 'read their account', 'PATCH /v1/me': 'save their e-mail', 'PUT /v1/me/password': 'change their password', 'POST /v1/me/mfa': 'begin to set up an authenticator app', 'PUT /v1/me/mfa': 'set up an authenticator app', 'DELETE /v1/me/mfa': 'remove their authenticator app', 'POST /v1/me/mfa/recovery-codes': 'replace their recovery codes',
  'GET /v1/me/sessions': 'read their sessions', 'DELETE /v1/me/sessions/{id}': 'end a session of their account',
  'GET /v1/me/passkeys': 'read their passkeys', 'POST /v1/me/passkey-options': 'begin to add a passkey', 'POST /v1/me/passkeys': 'add a passkey', 'DELETE /v1/me/passkeys/{id}': 'delete a passkey of their account',
  'POST /v1/session': 'sign in with a password', 'DELETE /v1/session': 'sign out', 'POST /v1/session/passkey': 'sign in with a passkey', 'GET /v1/session/oidc/callback': 'sign in with the identity provider', 'PUT /v1/session/verification': 'enter their password again', 'POST /v1/setup': 'create the first owner', 'POST /v1/setup-codes': 'create a set-up code',
};

/** Past tenses that are not formed with -ed. */
const PAST = { begin: 'began', cancel: 'cancelled', read: 'read', reset: 'reset', retry: 'retried', run: 'ran', send: 'sent', set: 'set', verify: 'verified', write: 'wrote' };
const pastOf = (verb) => PAST[verb] ?? `${verb.replace(/e$/, '')}ed`;

/** A part of a path as it was entered, or as it was sent if that cannot be decoded. */
export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The path of an entry, as it was sent, and its query. What a tool was given has none. */
export function partsOf(target) {
  const [path, ...query] = target.startsWith('/') ? target.split('?') : [''];
  return [path, new URLSearchParams(query.join('?'))];
}

/** The recipient that a request is about. The parameters of a query are decoded already. */
export function recipientOf({ target, tenant }) {
  const [path, query] = partsOf(target), [, part] = /\/v1\/recipients\/([^/]+)/.exec(path) ?? /\/subscriptions\/([^/]+)$/.exec(path) ?? [];
  const key = part ? decoded(part) : query.get('recipient');
  return key && part !== 'bulk' ? { tenant: tenant ?? query.get('tenant'), recipient: key } : null;
}

/** A phrase with the names of a path. A server below a path has more parts before those of the route. */
function named(phrase, route, path) {
  const parts = route.split('/'), values = path.split('/').slice(-parts.length).map(decoded);
  return phrase.replace(/\{\w+\}/g, (part) => values[parts.indexOf(part)]);
}

/** What was done or tried: an agent's call of a tool, an operation of the API, or, as it was sent, what has no phrase. */
function phraseOf({ action, target }) {
  const [method, route = ''] = action.split(' '), [path] = target.split('?');
  if (method === 'TOOL') return `call the tool ${action.slice(5)}`;
  if (PHRASES[action]) return named(PHRASES[action], route, path);
  return `call ${route ? `${method} ${path}` : `${action} ${target}`}`;
}

const GERUND = { begin: 'beginning', cancel: 'cancelling', run: 'running', reset: 'resetting', set: 'setting' };
const gerundOf = (verb) => GERUND[verb] ?? `${verb.replace(/e$/, '')}ing`;
const patternOf = (route) => new RegExp(`^${route.replace(/\{\w+\}/g, '[^/]+')}$`);

/** A request as the subject of a sentence, such as “Creating an API key”. */
export function actOf(method, target) {
  const [path] = target.split('?'), action = Object.keys(PHRASES).find((one) => one.startsWith(`${method} `) && patternOf(one.slice(method.length + 1)).test(path));
  if (!action) return 'This change';
  const [verb, ...words] = named(PHRASES[action], action.split(' ')[1], path).split(' '), gerund = gerundOf(verb);
  return [gerund[0].toUpperCase() + gerund.slice(1), ...words].join(' ');
}

/** Checks change nothing: the query or the body says so. */
const isCheck = ({ target, changes = [] }) => /[?&]dry_run=true/.test(target) || changes.some(({ field }) => field === 'dry_run');
const isExport = ({ action, changes = [] }) => action.startsWith('GET ') && changes.some(({ field }) => field === 'export');

/** What an actor did or tried to do. @param {{action: string, target: string, outcome: string, changes?: {field: string}[]}} entry  the action is a method and a route, or `TOOL` and a name */
export function sentenceOf(entry) {
  const [verb, ...words] = phraseOf(entry).split(' '), rest = `${words.join(' ')}${isCheck(entry) ? ' (dry run)' : ''}`;
  const done = isExport(entry) ? 'export' : verb;
  // The console repeats the request after the operator has entered the password.
  return entry.outcome === 'ok' ? `${pastOf(done)} ${rest}` : `${entry.outcome === 'password_required' ? 'began' : 'tried'} to ${done} ${rest}`;
}

/** The console asks for the password before an important change: this is no failure. */
export const isQuestion = ({ outcome }) => outcome === 'password_required';
/** The console repeats a request within this time after it needed the password. */
const ANSWERED_MS = 5 * 60_000;
/** Entries, newest first, without those that only waited for the password, which the same actor then entered. */
export function actsOf(entries) {
  const isSameRequest = (one, other) => ['actor', 'action', 'target', 'address'].every((name) => one[name] === other[name]);
  return entries.filter((one, index) => {
    const next = isQuestion(one) ? entries.slice(0, index).findLast((other) => isSameRequest(one, other)) : undefined;
    return next?.outcome !== 'ok' || Date.parse(next.at) - Date.parse(one.at) > ANSWERED_MS;
  });
}

export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);
/** The fields of a changed object that differ, with the name of the object. */
const fieldsOf = ({ field, from, to }) => [...new Set([...Object.keys(from), ...Object.keys(to)])].filter((name) => !isSame(from[name], to[name])).map((name) => ({ field: `${field}.${name}`, from: from[name] ?? null, to: to[name] ?? null }));

/** The changes of an entry; those of an object by its fields. */
export const changesOf = ({ changes }) => changes.flatMap((one) => (isObject(one.from) && isObject(one.to) ? fieldsOf(one) : [one]));
