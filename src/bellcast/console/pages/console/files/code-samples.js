/**
 * Code that sends a notification or a live event, in several languages. All values are quoted for their language.
 */

/** How each language writes a JSON value. */
const LANGUAGES = {
  python: { text: JSON.stringify, words: { true: 'True', false: 'False', null: 'None' }, map: '{}', arrow: ': ' },
  js: { text: JSON.stringify, words: {}, map: '{}', arrow: ': ' },
  php: { text: (one) => `'${one.replace(/['\\]/g, '\\$&')}'`, words: {}, map: '[]', arrow: ' => ', none: 'new stdClass()' }, // `[]` would be a list
};

function literal(value, language) {
  const { text, words, map, arrow, none = '{}' } = language;
  if (typeof value === 'string') return text(value);
  if (value === null || typeof value !== 'object') return words[value] ?? String(value);
  if (Array.isArray(value)) return `[${value.map((one) => literal(one, language)).join(', ')}]`;
  const entries = Object.entries(value);
  if (entries.length === 0) return none;
  return map[0] + entries.map(([name, one]) => text(name) + arrow + literal(one, language)).join(', ') + map[1];
}

const shell = (value) => `'${JSON.stringify(value).replaceAll("'", "'\\''")}'`;
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
