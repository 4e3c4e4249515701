/**
 * The playground: one recipient on all four dialects, a composer, and the equivalent code.
 */
import { Field, Form } from './form.js';
import { html, useEffect, useRef, useState } from './html.js';
import { Code } from './code.js';
import { samples } from './code-samples.js';
import { count, parsed, secondOf } from './format.js';
import { loadStyle } from './load.js';
import { Card, Copy, Heading, Icon, Json, State } from './parts.js';
import { Segments } from './segments.js';
import { ROOT, get, path, request, withQuery } from './server.js';
import { PLAYGROUND_TOPIC } from './setup.js';
import { DIALECTS } from './stock-clients.js';
import { TenantField } from './tenant-field.js';

await loadStyle('playground.css');

/** Frames of Pusher's protocol, which a pane hides at first. */
const isOfProtocol = ({ event }) => /^pusher(_internal)?:/.test(event);
/** Frames that no send causes. */
const ASIDE = /^(ready|counts|reset|presence|preferences|error|pusher)/;
/** Frames that arrive later after a send are not its result. */
const MAX_LATENCY_MS = 5000;
/** Maximum frames per pane. */
const MAX_FRAMES = 50;
const TTL = '1h';
const TECHNICAL = { required: true, autocomplete: 'off', spellcheck: false, autocapitalize: 'none' };

export function Playground({ page }) {
  const [target, setTarget] = useState(null);
  const [draft, setDraft] = useState({ title: 'Hello', body: '', name: 'lead.assigned', data: '{"lead": 7}' });
  const sentAt = useRef(-Infinity);
  const [arrived, setArrived] = useState({});
  const [shown, setShown] = useState(DIALECTS[0][0]);
  const begin = () => {
    sentAt.current = performance.now();
    setArrived({});
  };
  const arrive = (name, latency) => setArrived((last) => (name in last ? last : { ...last, [name]: latency }));
  const connect = async ({ recipient, topic, tenant }) => {
    const granted = { recipient, topics: [topic], publish: [topic], ttl: TTL, ...(tenant && { tenant }) };
    const [{ token }, { apps }] = await Promise.all([request('POST', '/v1/tokens', granted), get(withQuery('/v1/pusher-apps', { tenant }))]);
    const app = apps.find((one) => (one.tenant ?? '') === tenant && one.enabled && one.state === 'active');
    setTarget({ recipient, topic, tenant, token, key: app?.key });
  };
  return html`<${Heading} title="Playground" note=${html`<span class="muted">One recipient on four clients at the same time</span>`} />
    <section class="panel play" aria-label="Connect and send"><${Form} isInline isSecondary=${target !== null} button=${target ? 'Connect again' : 'Connect'} send=${connect}>
      <${Step} number="1">Connect a recipient<//><div class="play-fields"><${Field} label="Recipient" name="recipient" defaultValue=${page.query.get('recipient') ?? 'playground'} ...${TECHNICAL} />
      <${Field} label="Topic" name="topic" defaultValue=${PLAYGROUND_TOPIC} ...${TECHNICAL} /><${TenantField} /></div><//>
      <${Composer} key=${`composer ${target?.token}`} ...${target} isReady=${target !== null} type=${({ target: { name, value } }) => setDraft({ ...draft, [name]: value })} begin=${begin} page=${page} /></section>
    <${Segments} label="Client" options=${DIALECTS.map(([name]) => [name, html`${name}${name in arrived && html` <span class="muted">${arrived[name]} ms</span>`}`])} value=${shown} choose=${setShown} />
    <div class="panes" key=${target?.token}>${DIALECTS.map((one) => html`<${Pane} key=${one[0]} dialect=${one} target=${target} event=${draft.name} sentAt=${sentAt} arrive=${arrive} latency=${arrived[one[0]]} longest=${Math.max(1, ...Object.values(arrived))} isShown=${one[0] === shown} />`)}</div>${target && html`<${AsCode} ...${target} draft=${draft} />`}`;
}

/** The heading of a step. */
const Step = ({ number, children }) => html`<h2 class="play-step"><span class="play-number">${number}</span>${children}</h2>`;

/** A connection's frames, newest first, with the time since the last send, as a bar of the longest; empty before there is a target. */
function Pane({ dialect: [name, kind, client, connect, use, expected], target, event, sentAt, arrive, latency, longest, isShown }) {
  const [word, setWord] = useState('waiting');
  const [frames, setFrames] = useState([]);
  const [isWhole, setWhole] = useState(false);
  const number = useRef(0);
  useEffect(() => {
    if (!target) return undefined;
    let isOpen = true, close = null;
    const show = (next) => isOpen && setWord(next);
    const receive = (event, data, place) => {
      number.current += 1;
      const latency = Math.round(performance.now() - sentAt.current);
      if (!isOpen) return;
      if (latency < MAX_LATENCY_MS && !ASIDE.test(event)) arrive(name, latency);
      setFrames((last) => [{ id: number.current, event, data, place, at: new Date(), latency }, ...last].slice(0, MAX_FRAMES));
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
  const hidden = frames.filter(isOfProtocol).length;
  const coming = [[expected[0], 1], [expected[1], 2], [expected[2] ?? event, 2]];
  return html`<section class=${isShown ? 'panel pane shown' : 'panel pane'} aria-label=${name}><h2><span class=${`dialect ${kind}`}>${name}</span><span role="status">${target && html`<${State} of=${word} />`}</span>${client !== name && html`<small class="muted">${client}</small>`}${latency !== undefined && html`<b title="From the send to this client">${latency} ms</b><i class=${kind} style=${{ width: `${100 * latency / longest}%` }}></i>`}</h2>
    <ol class="frames" tabIndex="0" aria-label=${`Frames of ${name}`}>${!target && html`<li class="muted">${use}</li>${coming.map(([frame, step], index) => html`<li key=${index} class="coming"><b>${frame}</b> <small>after step ${step}</small></li>`)}`}${frames.filter((one) => isWhole || !isOfProtocol(one)).map((one) => html`<li key=${one.id}><${Frame} ...${one} /></li>`)}
      ${hidden > 0 && html`<li key="protocol"><button type="button" class="quiet" aria-pressed=${String(isWhole)} onClick=${() => setWhole(!isWhole)}>${count(hidden, 'protocol event')}</button></li>`}</ol></section>`;
}

/** A frame on two lines, which expands to its full data. A notification is shown as the bell shows it. */
function Frame({ event, data, place, at, latency }) {
  const time = html`<small class="muted">${latency < MAX_LATENCY_MS ? `+${latency} ms` : secondOf(at)}</small>`;
  // Socket.IO has a list of values, and Pusher the notification itself.
  const [first] = [data].flat(), item = /^notification\b/.test(event) && (first?.notification ?? first);
  if (item?.title) return html`<div class="bell-row"><span class="avatar tone-0"><${Icon} name="notifications" /></span><div><b dir="auto">${item.title}</b>${item.body && html`<p dir="auto">${item.body}</p>`}</div></div><details><summary><b>${event}</b> ${time}</summary><${Json} of=${data} /></details>`;
  return data === undefined ? html`<b>${event}</b> ${time} ${place}` : html`<details><summary><b>${event}</b><code>${time} ${place} ${typeof data === 'string' ? data : JSON.stringify(data)}</code></summary><${Json} of=${data} /></details>`;
}

/** Two forms that send once the recipient is connected; `type` receives what is typed, and `begin` is called before a send. */
function Composer({ recipient, topic, tenant, isReady, type, begin, page }) {
  const inTenant = tenant && { tenant };
  const [sent, setSent] = useState('');
  const post = (address, body) => {
    begin();
    return request('POST', address, { ...body, ...inTenant });
  };
  const notify = async ({ title, body }) => {
    const { notifications } = await post('/v1/notifications', { to: recipient, title, ...(body && { body }) });
    setSent(notifications[0].id);
  };
  return html`<fieldset class="composer" disabled=${!isReady} onInput=${type}><div class="play-sent"><${Step} number="2">Send, and compare what arrives<//><p role="status" class="muted">${sent ? html`Stored as <a href=${withQuery(page.url(path`/notifications/${sent}`), { tenant })}>${sent}</a>` : !isReady && 'Possible once you are connected.'}</p></div>
    <${Form} isInline button="Send" send=${notify}><${Field} label="Title" name="title" defaultValue="Hello" required autocomplete="off" /><${Field} label="Text" name="body" autocomplete="off" placeholder="Optional" /><//>
    <${Form} isInline isSecondary button="Publish" send=${({ name, data }) => post('/v1/events', { topic, name, data: parsed(data) })}><${Field} label="Event" name="name" defaultValue="lead.assigned" required autocomplete="off" /><${Field} label="Data as JSON" name="data" defaultValue='{"lead": 7}' autocomplete="off" spellcheck=${false} /><//></fieldset>`;
}

/** The code of the two sends, which is updated as the operator types. */
function AsCode({ recipient, topic, tenant, draft: { title, body, name, data } }) {
  const [language, setLanguage] = useState('curl');
  const code = useRef({});
  try {
    code.current = samples({ url: `${location.origin}${ROOT}`, recipient, topic, tenant, draft: { title, body }, event: { name, data: parsed(data) } });
  } catch {
    // While the input is incomplete, the last code stays. The form reports invalid input when it is submitted.
  }
  return html`<${Card} title="The same as code"><div class="choice"><${Segments} label="Language" options=${['curl', 'Python', 'Node', 'PHP', 'Browser']} value=${language} choose=${setLanguage} /><${Copy} what="the code" text=${code.current[language]} /></div>
    <${Code} label="Code" text=${code.current[language]} /><//>`;
}
