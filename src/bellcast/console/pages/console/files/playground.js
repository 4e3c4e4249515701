/**
 * The playground: one recipient on all four dialects, a composer, and the equivalent code.
 */
import { html, useEffect, useRef, useState } from './html.js';
import { samples } from './code-samples.js';
import { parsed, secondOf } from './format.js';
import { Card, Copy, Field, Form, Heading, Json, State } from './parts.js';
import { shownTenant } from './router.js';
import { ROOT, get, request, withQuery } from './server.js';
import { PLAYGROUND_TOPIC } from './setup.js';
import { DIALECTS } from './stock-clients.js';

/** Maximum frames per pane. */
const MAX_FRAMES = 50;
const TTL = '1h';
const TECHNICAL = { required: true, autocomplete: 'off', spellcheck: false, autocapitalize: 'none' };

export function Playground({ page }) {
  const [target, setTarget] = useState(null);
  const connect = async ({ recipient, topic, tenant }) => {
    const granted = { recipient, topics: [topic], publish: [topic], ttl: TTL, ...(tenant && { tenant }) };
    const [{ token }, { apps }] = await Promise.all([request('POST', '/v1/tokens', granted), get(withQuery('/v1/pusher-apps', { tenant }))]);
    const app = apps.find((one) => (one.tenant ?? '') === tenant && one.enabled && one.state === 'active');
    setTarget({ recipient, topic, tenant, token, key: app?.key });
  };
  return html`<${Heading} title="Playground" /><p class="muted">One recipient on SSE, WebSocket, Socket.IO and Pusher at the same time: send, and compare what arrives.</p>
    <${Card} title="Connect on all four dialects"><${Form} isInline button="Connect" send=${connect}><${Field} label="Recipient" name="recipient" defaultValue=${page.query.get('recipient') ?? 'playground'} ...${TECHNICAL} />
      <${Field} label="Topic" name="topic" defaultValue=${PLAYGROUND_TOPIC} ...${TECHNICAL} /><${Field} label="Tenant" name="tenant" defaultValue=${shownTenant()} ...${TECHNICAL} required=${false} placeholder="none" /><//><//>
    <div class="panes" key=${target?.token}>${DIALECTS.map((one) => html`<${Pane} key=${one[0]} dialect=${one} target=${target} />`)}</div>${target && html`<${Composer} key=${`composer ${target.token}`} ...${target} />`}`;
}

/** A connection's frames, newest first; empty before there is a target. */
function Pane({ dialect: [name, kind, client, connect, use], target }) {
  const [word, setWord] = useState('waiting');
  const [frames, setFrames] = useState([]);
  const number = useRef(0);
  useEffect(() => {
    if (!target) return undefined;
    let isOpen = true, close = null;
    const show = (next) => isOpen && setWord(next);
    const receive = (event, data) => {
      number.current += 1;
      if (isOpen) setFrames((last) => [{ id: number.current, event, data, at: new Date() }, ...last].slice(0, MAX_FRAMES));
    };
    const failed = (text) => {
      show('error');
      receive('error', text);
    };
    // `connect` resolves to a function that closes the connection.
    connect(target, { opened: () => show('connected'), closed: () => show('closed'), failed, receive }).then((end) => {
      if (isOpen) close = end;
      else end();
    }, (problem) => failed(problem.message));
    return () => {
      isOpen = false;
      close?.();
    };
  }, []);
  return html`<section class="panel pane" aria-label=${name}><h2><span class=${`dialect ${kind}`}>${name}</span><span role="status">${target && html`<${State} of=${word} />`}</span><small class="muted">${client}</small></h2>
    <ol class="frames" tabIndex="0" aria-label=${`Frames of ${name}`}>${!target && html`<li class="muted">${use}</li>`}${frames.map((one) => html`<li key=${one.id}><${Frame} ...${one} /></li>`)}</ol></section>`;
}

/** A frame on one line, which expands to its full data. */
function Frame({ event, data, at }) {
  const title = html`<b>${event}</b><small class="muted">${secondOf(at)}</small>`;
  return data === undefined ? title : html`<details><summary>${title}<code>${typeof data === 'string' ? data : JSON.stringify(data)}</code></summary><${Json} of=${data} /></details>`;
}

/** Two forms that send, with the equivalent code, which is updated as the operator types. */
function Composer({ recipient, topic, tenant }) {
  const inTenant = tenant && { tenant };
  const [draft, setDraft] = useState({ title: 'Hello', body: '', name: 'lead.assigned', data: '{"lead": 7}' });
  const [sent, setSent] = useState('');
  const [language, setLanguage] = useState('curl');
  const code = useRef({});
  try {
    const { title, body, name, data } = draft;
    code.current = samples({ url: `${location.origin}${ROOT}`, recipient, topic, tenant, draft: { title, body }, event: { name, data: parsed(data) } });
  } catch {
    // While the input is incomplete, the last code stays. The form reports invalid input when it is submitted.
  }
  const type = ({ target: { name, value } }) => setDraft({ ...draft, [name]: value });
  const notify = async ({ title, body }) => {
    const { notifications } = await request('POST', '/v1/notifications', { to: recipient, title, ...(body && { body }), ...inTenant });
    setSent(`Stored as ${notifications[0].id}.`);
  };
  return html`<div class="columns" onInput=${type}><${Card} title="Send a notification"><${Form} button="Send" send=${notify}><${Field} label="Title" name="title" defaultValue="Hello" required autocomplete="off" /><${Field} label="Text" name="body" autocomplete="off" /><//><p role="status" class="muted">${sent}</p><//>
    <${Card} title="Publish a live event"><${Form} button="Publish" send=${({ name, data }) => request('POST', '/v1/events', { topic, name, data: parsed(data), ...inTenant })}><${Field} label="Event" name="name" defaultValue="lead.assigned" required autocomplete="off" /><${Field} label="Data" name="data" defaultValue='{"lead": 7}' autocomplete="off" spellcheck=${false} hint="JSON." /><//><//></div>
    <${Card} title="The same as code"><div class="choice"><div class="segments" role="group" aria-label="Language">${['curl', 'Python', 'Node', 'PHP', 'Browser'].map((name) => html`<button key=${name} type="button" aria-pressed=${String(name === language)} onClick=${() => setLanguage(name)}>${name}</button>`)}</div><${Copy} what="the code" text=${code.current[language]} /></div>
      <pre tabIndex="0"><code>${code.current[language]}</code></pre><//>`;
}
