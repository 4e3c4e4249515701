/**
 * Code in several languages: a request, and the sending of a notification and a live event. All values are quoted for their language.
 */
import { inShell } from './format.js';

/** How each language writes a JSON value. */
const LANGUAGES = {
  python: { text: JSON.stringify, words: { true: 'True', false: 'False', null: 'None' }, map: '{}', arrow: ': ' },
  js: { text: JSON.stringify, words: {}, map: '{}', arrow: ': ' },
  php: { text: (one) => `'${one.replace(/['\\]/g, '\\$&')}'`, words: {}, map: '[]', arrow: ' => ', none: 'new stdClass()' }, // `[]` would be a list
};

/** `indent` puts each member on a line of its own, with this indentation of the value. */
function literal(value, language, indent = null) {
  const { text, words, map, arrow, none = '{}' } = language;
  if (typeof value === 'string') return text(value);
  if (value === null || typeof value !== 'object') return words[value] ?? String(value);
  const inner = indent === null ? null : `${indent}  `;
  const within = (open, members, close) => (inner === null ? open + members.join(', ') + close : `${open}\n${members.map((one) => `${inner}${one},\n`).join('')}${indent}${close}`);
  if (Array.isArray(value)) return value.length === 0 ? '[]' : within('[', value.map((one) => literal(one, language, inner)), ']');
  const entries = Object.entries(value);
  if (entries.length === 0) return none;
  return within(map[0], entries.map(([name, one]) => text(name) + arrow + literal(one, language, inner)), map[1]);
}

const shell = (value) => inShell(JSON.stringify(value));
/** The attribute `topics` contains names separated by commas, or a JSON array. */
const topicList = (topic) => (topic.includes(',') ? JSON.stringify([topic]) : topic);
const attribute = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');

/**
 * @param {{url: string, recipient: string, topic: string, tenant: string, draft: {title: string, body: string}, event: {name: string, data: any}}} sent
 * @returns {Record<string, string>} the code by language
 */
export function samples({ url, recipient, topic, tenant, draft, event }) {
  const fields = { title: draft.title, ...(draft.body && { body: draft.body }) };
  const inTenant = tenant && { tenant };
  const notification = { to: recipient, ...fields, ...inTenant };
  const live = { topic, ...event, ...inTenant };
  const { python, js, php } = LANGUAGES;
  const named = Object.entries({ ...fields, ...inTenant }).map(([name, value]) => `${name}=${literal(value, python)}`).join(', ');
  const options = tenant ? `, ${literal({ tenant }, js)}` : '';
  const curl = (path, value) => `curl ${url}${path} -H "Authorization: Bearer $BELLCAST_SECRET" \\\n  -H "Content-Type: application/json" -d ${shell(value)}`;
  return {
    curl: `${curl('/v1/notifications', notification)}\n${curl('/v1/events', live)}`,
    Python: [
      'from bellcast import Bellcast', '', `bell = Bellcast(${literal(url, python)})  # the secret is in BELLCAST_SECRET`,
      `bell.notify(${literal(recipient, python)}, ${named})`,
      `bell.publish(${literal(topic, python)}, ${literal(event.name, python)}, ${literal(event.data, python)}${tenant ? `, tenant=${literal(tenant, python)}` : ''})`,
    ].join('\n'),
    Node: [
      "import { Bellcast } from 'bellcast/server';", '', `const bell = new Bellcast({ url: ${literal(url, js)} }); // the secret is in BELLCAST_SECRET`,
      `await bell.notify(${literal(recipient, js)}, ${literal(fields, js)}${options});`,
      `await bell.publish(${literal(topic, js)}, ${literal(event.name, js)}, ${literal(event.data, js)}${options});`,
    ].join('\n'),
    PHP: [
      '<?php', 'function bellcast(string $path, array $body): void', '{',
      "    $headers = ['Content-Type: application/json', 'Authorization: Bearer ' . getenv('BELLCAST_SECRET')];",
      "    $options = ['method' => 'POST', 'header' => $headers, 'content' => json_encode($body)];",
      `    file_get_contents(${literal(url, php)} . $path, false, stream_context_create(['http' => $options]));`, '}', '',
      `bellcast('/v1/notifications', ${literal(notification, php)});`, `bellcast('/v1/events', ${literal(live, php)});`,
    ].join('\n'),
    Browser: [
      '<!-- /bell-token of your app returns a session token of the signed-in user, with the topic. -->',
      `<bellcast-bell server="${url}" token-url="/bell-token" topics="${attribute(topicList(topic))}"></bellcast-bell>`,
      `<script type="module" src="${url}/bellcast.js"></script>`, '<script type="module">',
      "  const { session } = document.querySelector('bellcast-bell');",
      "  session.addEventListener('event', ({ detail }) => console.log(detail.name, detail.data));", '</script>',
    ].join('\n'),
  };
}

/**
 * @param {{method: string, url: string, headers: Record<string, string>, variable: string | null, type: string | null, body: string}} sent `variable`: the
 *   environment variable of the credentials; `type`: that of the body
 * @returns {Record<string, string>} the code of the request by language
 */
export function requestSamples({ method, url, headers, variable, type, body }) {
  const { python, js, php } = LANGUAGES;
  const data = decoded(type, body);
  const plain = { ...headers, ...(type && { 'Content-Type': type }) };
  const lines = (pairs) => Object.entries(pairs).map(([name, value]) => `${name}: ${value}`);
  const listed = (before, pairs, authorization) => [...(variable ? [authorization] : []), ...Object.entries(pairs).map(([name, value]) => `${before.text(name)}${before.arrow}${before.text(value)}`)].join(', ');
  return {
    curl: [
      ...(method === 'GET' ? [`curl ${inShell(url)}`] : [`curl -X ${method}`, `  ${inShell(url)}`]), ...(variable ? [`  -H "Authorization: Bearer $${variable}"`] : []),
      ...lines(plain).map((one) => `  -H ${inShell(one)}`), ...(type ? [`  -d ${inShell(body)}`] : []),
    ].join(' \\\n'),
    Python: [
      ...(variable ? ['import os', ''] : []), 'import httpx', '', 'response = httpx.request(', `  ${literal(method, python)},`, `  ${literal(url, python)},`,
      `  headers={${listed(python, data === undefined ? plain : headers, `"Authorization": f"Bearer {os.environ['${variable}']}"`)}},`,
      ...(type ? [data === undefined ? `  content=${literal(body, python)},` : `  json=${literal(data, python, '  ')},`] : []), ')', 'print(response.status_code, response.text)',
    ].join('\n'),
    Node: [
      `const response = await fetch(${literal(url, js)}, {`, `  method: ${literal(method, js)},`,
      `  headers: { ${listed(js, plain, `"Authorization": \`Bearer \${process.env.${variable}}\``)} },`,
      ...(type ? [data === undefined ? `  body: ${literal(body, js)},` : `  body: JSON.stringify(${literal(data, js, '  ')}),`] : []), '});', 'console.log(response.status, await response.text());',
    ].join('\n'),
    PHP: [
      '<?php', "$options = ['http' => [", `  'method' => ${literal(method, php)},`,
      `  'header' => [${[...(variable ? [`'Authorization: Bearer ' . getenv('${variable}')`] : []), ...lines(plain).map(php.text)].join(', ')}],`,
      ...(type ? [data === undefined ? `  'content' => ${literal(body, php)},` : `  'content' => json_encode(${literal(data, php, '  ')}),`] : []), ']];', `echo file_get_contents(${literal(url, php)}, false, stream_context_create($options));`,
    ].join('\n'),
  };
}

/** The value of a JSON body; undefined for other bodies, and while it is edited. */
function decoded(type, body) {
  try {
    return type === 'application/json' ? JSON.parse(body) : undefined;
  } catch {
    return undefined;
  }
}
