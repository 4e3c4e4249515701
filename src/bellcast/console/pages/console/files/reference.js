/**
 * The API reference: /openapi.json as pages of groups and operations, with code, and requests with the session of the signed-in operator. The fragment of
 * the URL names what is shown, so links, back and refresh work.
 */
import { Field } from './form.js';
import { html, render, signal, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Code } from './code.js';
import { requestSamples } from './code-samples.js';
import { count, duration } from './format.js';
import { Late, Skeleton } from './load.js';
import { Copy, Heading, Icon, prose } from './parts.js';
import { FieldRow, Fields, reader } from './reference-schema.js';
import { Segments } from './segments.js';
import { ROOT } from './server.js';
import { SIGNED_IN, applyTheme, me } from './session.js';
import { local } from './storage.js';

/** A response is shown up to this size: event streams do not end. */
const MAX_SHOWN = 256 * 1024;
const LANGUAGE = 'bellcast-reference-language';

const here = signal(fragment());
const isMenuOpen = signal(false);
/** What was typed for each operation, and the key or token, last as long as the page. */
const typed = new Map();
const credential = signal('');

function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return '';
  }
}

/** The operations of the document with all that the pages need, and its groups in the order of their use. */
function parsed({ info, paths, components, tags }) {
  const operations = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, of]) => ({
    ...of, path, method: method.toUpperCase(), group: of.tags[0], link: `/${method}${path}`, words: `${of.summary} ${method} ${path} ${of.operationId} ${of.tags[0]}`.toLowerCase(),
  })));
  return { info, read: reader(components.schemas), operations, groups: tags.toSorted((one, other) => placeOf(one) - placeOf(other)).map((one) => ({ ...one, link: `/${one.name}`, operations: operations.filter(({ group }) => group === one.name) })) };
}

/** The groups in the order in which an integration uses them; others follow. */
const ORDER = ['Sending', 'Inbox', 'Recipients', 'Preferences', 'Topics', 'Live', 'Workflows', 'Messages', 'Objects', 'Tenants', 'Access', 'Server', 'Console'];
const placeOf = ({ name }) => (ORDER.indexOf(name) + 1 || ORDER.length + 1);

/** The operations with which most integrations begin. */
const USED = ['/post/v1/notifications', '/put/v1/recipients/{key}', '/post/v1/tokens', '/get/v1/inbox', '/post/v1/workflows/{key}/trigger'];

const Method = ({ of }) => html`<span class=${`method ${of.toLowerCase()}`}>${of === 'DELETE' ? 'DEL' : of}</span>`;

function Reference({ of }) {
  const { groups, operations } = of;
  const operation = operations.find(({ link }) => link === here.value);
  const group = groups.find(({ name, link }) => (operation ? operation.group === name : link === here.value));
  const main = useRef(null), isFirst = useRef(true);
  useLayoutEffect(() => {
    document.title = [operation?.summary ?? group?.name, 'API reference', 'Bellcast'].filter(Boolean).join(' · ');
    isMenuOpen.value = false;
    if (!isFirst.current) {
      scrollTo(0, 0);
      main.current.querySelector('h1').focus();
    }
    isFirst.current = false;
  }, [here.value]);
  const isUnknown = here.value !== '' && !group;
  return html`<a class="skip" href="#main" onClick=${(event) => {
    event.preventDefault();
    main.current.focus();
  }}>Skip to the content</a>
  <header class="bar"><${Brand} /><button type="button" aria-label="Menu and search" aria-expanded=${String(isMenuOpen.value)} onClick=${() => { isMenuOpen.value = !isMenuOpen.value; }}><${Icon} name=${isMenuOpen.value ? 'close' : 'menu'} /></button></header>
  <div class=${isMenuOpen.value ? 'frame reference open' : 'frame reference'}><${Menu} of=${of} group=${group} operation=${operation} />
    <main id="main" tabIndex="-1" ref=${main}>
      ${operation ? html`<${Operation} key=${operation.link} of=${operation} read=${of.read} />` : group ? html`<${Group} of=${group} />` : html`<${Start} of=${of} isUnknown=${isUnknown} />`}
    </main></div>`;
}

const Brand = () => html`<a class="brand" href="#"><img src=${`${ROOT}/favicon.svg`} alt="" width="20" height="20" />Bellcast API</a>`;

function Menu({ of, group, operation }) {
  const [text, setText] = useState('');
  const input = useRef(null), list = useRef(null);
  useLayoutEffect(() => { // before the menu is shown: an effect after it would miss a key that is pressed at once
    const focus = (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
      event.preventDefault();
      isMenuOpen.value = true;
      input.current.focus();
    };
    addEventListener('keydown', focus);
    return () => removeEventListener('keydown', focus);
  }, []);
  useEffect(() => { if (isMenuOpen.value) input.current.focus(); }, [isMenuOpen.value]);
  useEffect(() => list.current.querySelector('[aria-current=page]')?.scrollIntoView({ block: 'nearest' }), [here.value]);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length > 0 && of.operations.filter((one) => words.every((word) => one.words.includes(word)));
  const link = (one) => html`<a key=${one.link} class="to-operation" href=${`#${one.link}`} aria-current=${one === operation ? 'page' : null} onClick=${() => { isMenuOpen.value = false; }}><${Method} of=${one.method} /><span>${one.summary}</span></a>`;
  return html`<aside class="side" aria-label="Search and menu" onKeyDown=${({ key }) => { if (key === 'Escape') isMenuOpen.value = false; }}><div class="side-top"><${Brand} /><a class="quiet" href=${`${ROOT}/`}>Start page</a></div>
    <label class="find"><${Icon} name="search" /><input ref=${input} type="search" aria-label="Search operations" placeholder="Search operations" value=${text} onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${({ key }) => { if (key === 'Enter' && found.length) location.hash = found[0].link; }} /></label>
    <p class="hidden" role="status">${found && `${count(found.length, 'operation')} found`}</p>
    <nav id="menu" ref=${list} aria-label="Operations">
      ${found ? found.length ? of.groups.map((one) => ({ ...one, operations: found.filter((each) => each.group === one.name) })).filter((one) => one.operations.length).map((one) => html`<div role="group" aria-label=${one.name} key=${one.name}><span class="group">${one.name}</span>${one.operations.map(link)}</div>`)
    : html`<p class="muted">No operation contains “${text.trim()}”.</p>`
    : html`<a class="to-group" href="#" aria-current=${group ? null : 'page'}>Introduction</a>${of.groups.map((one) => html`<div key=${one.name}><a class="to-group" href=${`#${one.link}`} aria-current=${one === group ? operation ? 'true' : 'page' : null}>${one.name}<span class="count">${one.operations.length}</span></a>${one === group && one.operations.map(link)}</div>`)}`}
    </nav><${Sender} /></aside>`;
}

/** The operator whose session sends the requests. */
const Sender = () => html`<p class="sender" role="status">${me.value ? html`<span>Requests are sent as <b>${me.value.name}</b> (${me.value.role}).</span>`
  : me.value === null && html`<span><a href=${`${ROOT}/console`}>Sign in to the console</a> to send requests with your session.</span>`}</p>`;

const ACCESS = { server: 'an API key or the project secret', session: 'a session token of a recipient', console: 'the session of an operator' };

function Start({ of, isUnknown }) {
  const url = `${location.origin}${ROOT}`, [about, ...conventions] = of.info.description.split(/\n+- \*\*/).map((text) => text.split('**: '));
  const first = of.operations.find(({ method, path }) => method === 'POST' && path === '/v1/notifications'), sample = `curl ${url}/v1/notifications \\\n  -H "Authorization: Bearer $BELLCAST_SECRET" \\\n  -H "Content-Type: application/json" \\\n  -d '{"to": "alice", "title": "New booking"}'`;
  return html`<article class="start"><${Heading} title="API reference" note=${html`<span class="muted">${count(of.operations.length, 'operation')}</span>`}><a class="quiet" href=${`${ROOT}/openapi.json`}>openapi.json</a><//>
    ${isUnknown && html`<p class="failure" role="alert">There is no operation or group “${here.value}”. Search for it in the menu.</p>`}
    <p>${prose(about[0])}</p>
    ${first && html`<section class="panel"><h2>Send a notification <a href=${`#${first.link}`}>All of its fields</a></h2><div class="snippet"><${Code} label="Example" text=${sample} /><${Copy} what="the example" text=${sample} /></div></section>`}
    <dl class="facts"><div><dt>Base URL</dt><dd><code>${url}</code> <${Copy} what="the base URL" text=${url} /></dd></div>
      <div><dt>Authentication</dt><dd><code>Authorization: Bearer …</code> with an API key, the project secret, or a recipient's session token</dd></div>
      ${conventions.map(([subject, text]) => html`<div key=${subject}><dt>${subject}</dt><dd>${prose(text)}${subject === 'Errors' && html` <a href=${`${ROOT}/errors`}>All errors, with cause and fix</a>`}</dd></div>`)}</dl>
    <h2>Most used</h2><${Operations} of=${USED.flatMap((link) => of.operations.filter((one) => one.link === link))} /></article>`;
}

const Group = ({ of }) => html`<article><${Heading} title=${of.name} note=${html`<span class="muted">${count(of.operations.length, 'operation')}</span>`} /><p>${of.description}</p>
  <${Operations} of=${of.operations} /></article>`;

const Operations = ({ of }) => html`<ul class="operations">${of.map((one) => html`<li key=${one.link}><${Method} of=${one.method} /><a class="row-link" href=${`#${one.link}`}>${one.summary}</a><code class="muted">${one.path}</code></li>`)}</ul>`;

/** A description goes on in a new paragraph with a parameter. */
const PARAGRAPHS = /\n\n|(?<=\.) (?=With `|`)/;

function Operation({ of, read }) {
  const { description, parameters, requestBody, responses } = of;
  const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [null];
  const places = [['path', 'Path'], ['query', 'Query parameters'], ['header', 'Headers']].map(([place, title]) => [title, parameters.filter((one) => one.in === place)]).filter(([, all]) => all.length);
  const schemes = [...new Set(of.security.flatMap(Object.keys))].map((name) => ACCESS[name]).filter(Boolean);
  return html`<article class="operation"><div class="described">
      <p class="crumb"><a href=${`#/${of.group}`}>${of.group}</a></p><h1 tabIndex="-1">${of.summary}</h1>
      <p class="endpoint"><${Method} of=${of.method} /><code>${of.path}</code><${Copy} what="the path" text=${of.path} /></p>
      ${description?.split(PARAGRAPHS).map((text, index) => html`<p key=${index}>${prose(text)}</p>`)}
      <p class="muted">${schemes.length ? `Allowed: ${schemes.join(', or ')}.` : 'Needs no credentials.'}${of['x-scope'] && html` Scope: <code>${of['x-scope']}</code>.`}</p></div>
    <${Trial} of=${of} type=${type} body=${body} read=${read} />
    <div class="fields-of">
      ${places.map(([title, all]) => html`<section key=${title}><h2>${title}</h2><ul class="schema">${all.map((one) => html`<${FieldRow} key=${one.name} name=${one.name} schema=${one.schema} text=${one.description} isRequired=${one.required} read=${read} />`)}</ul></section>`)}
      ${body && html`<section><h2>Body <span class="muted">${Object.keys(requestBody.content).join(', ')}</span></h2><${Fields} of=${body.schema} read=${read} /></section>`}
      <section><h2>Responses</h2><ul class="responses">${Object.entries(responses).map(([status, one]) => html`<${Answer} key=${status} status=${status} of=${one} read=${read} />`)}</ul>
        <p class="muted">A refusal is <code>application/problem+json</code>: <a href=${`${ROOT}/errors`}>all errors, with cause and fix</a>.</p></section></div></article>`;
}

/** The kind of a status, which has a colour. */
const kindOf = (status) => (status < 300 ? 'ok' : status < 400 ? 'info' : status < 500 ? 'warn' : 'bad');

function Answer({ status, of, read }) {
  const [[type, { schema } = {}] = []] = Object.entries(of.content ?? {});
  const isFine = status < 300;
  return html`<li><p><b class=${kindOf(status)}>${status}</b> ${prose(of.description)}${isFine && type && html` <span class="muted">${Object.keys(of.content).join(', ')}</span>`}</p>${isFine && schema && type.includes('json') && html`<${Fields} of=${schema} read=${read} />`}</li>`;
}

function initial(of, type, body, read) {
  const example = body && (body.example ?? (type.includes('json') ? read.example(body.schema) : ''));
  return { values: {}, body: body ? typeof example === 'string' ? example : JSON.stringify(example, null, 2) : '' };
}

/** The request with what was typed. Unknown parts of the path keep their names. */
function requestOf({ method, path, parameters }, { values, body }, type) {
  const given = (place) => parameters.filter((one) => one.in === place && values[one.name]);
  const target = path.replaceAll(/\{(\w+)\}/g, (whole, name) => (values[name] ? encodeURIComponent(values[name]) : whole));
  const query = new URLSearchParams(given('query').map(({ name }) => [name, values[name]]));
  return { method, url: `${location.origin}${ROOT}${target}${query.size ? `?${query}` : ''}`, headers: Object.fromEntries(given('header').map(({ name }) => [name, values[name]])), type, body };
}

/** A response with an item in each list; null without a body of JSON. */
function exampleOf({ responses }, read) {
  const found = Object.entries(responses).map(([status, { content }]) => [status, content?.['application/json']?.schema]).find(([status, schema]) => status < 300 && schema);
  return found ? { status: found[0], text: JSON.stringify(read.example(found[1], { isFilled: true }), null, 2) } : null;
}

/** Code of the request, and the request itself with its response. */
function Trial({ of, type, body, read }) {
  const [draft, setDraft] = useState(() => typed.get(of.link) ?? initial(of, type, body, read));
  const [language, setLanguage] = useState(local.getItem(LANGUAGE) ?? 'curl');
  const change = (next) => {
    typed.set(of.link, next);
    setDraft(next);
  };
  const schemes = of.security.flatMap(Object.keys);
  const isOfRecipient = schemes.includes('session');
  const request = requestOf(of, draft, type);
  const samples = requestSamples({ ...request, variable: schemes.length === 0 ? null : isOfRecipient ? 'BELLCAST_TOKEN' : 'BELLCAST_SECRET' });
  const shown = samples[language] ? language : 'curl';
  const required = of.parameters.filter((one) => one.required), optional = of.parameters.filter((one) => !one.required);
  const field = ({ name, schema, required: isRequired }) => html`<${Field} key=${name} label=${name} required=${isRequired} value=${draft.values[name] ?? ''} options=${schema.type === 'boolean' ? ['', 'true', 'false'] : schema.enum && ['', ...schema.enum]}
    onInput=${(event) => change({ ...draft, values: { ...draft.values, [name]: event.currentTarget.value } })} />`;
  return html`<div class="trial"><section class="panel code"><div class="panel-top"><${Segments} label="Language" options=${Object.keys(samples)} value=${shown} choose=${(one) => {
    local.setItem(LANGUAGE, one);
    setLanguage(one);
  }} /><${Copy} what="the code" text=${samples[shown]} /></div><${Code} label=${`Request in ${shown}`} text=${samples[shown]} /></section>
  <${Sending} of=${of} request=${request} example=${exampleOf(of, read)} isOfRecipient=${isOfRecipient} isOpen=${schemes.length === 0}>
    ${required.map(field)}
    ${optional.length > 0 && html`<details><summary>Optional parameters <span class="muted">${optional.length}</span></summary><div class="fields">${optional.map(field)}</div></details>`}
    ${body && html`<${Field} label="Body" isLong rows=${Math.min(draft.body.split('\n').length, 16)} value=${draft.body} onInput=${(event) => change({ ...draft, body: event.currentTarget.value })} />`}
  <//></div>`;
}

/** A form that sends a request and shows the response as it arrives. */
function Sending({ of, request, example, isOfRecipient, isOpen, children }) {
  const [result, setResult] = useState(null);
  const abort = useRef(null), shown = useRef(null);
  useEffect(() => () => abort.current?.abort(), []);
  useEffect(() => { if (result?.status) shown.current.scrollIntoView({ block: 'nearest' }); }, [result?.status]);
  const isSending = result?.isOpen === true;
  const send = async (event) => {
    event.preventDefault();
    abort.current = new AbortController();
    setResult({ isOpen: true, text: '' });
    try {
      await exchange(request, abort.current, setResult);
    } catch (failure) {
      setResult((last) => ({ ...last, isOpen: false, note: failure.name === 'AbortError' ? 'Stopped.' : last.status ? 'The connection was lost.' : 'The server cannot be reached.' }));
    }
  };
  const isKeyShown = !isOpen && (isOfRecipient || me.value === null);
  const key = html`<${Field} label=${isOfRecipient ? 'Session token' : 'API key'} type="password" autocomplete="off" placeholder=${isOfRecipient ? 'eyJ…' : 'Sent instead of your session'} value=${credential.value} onInput=${(event) => { credential.value = event.currentTarget.value.trim(); }} />`;
  return html`<form class="panel send" onSubmit=${send}><h2>Try it</h2>${isKeyShown ? key : !isOpen && html`<details><summary>${credential.value ? 'Sent with an API key' : `Sent as ${me.value.name}`}</summary>${key}</details>`}${children}
    <div class="choice"><button class=${of.method === 'DELETE' ? 'danger' : 'primary'} type="submit" disabled=${isSending}>Send ${of.method === 'GET' ? '' : of.method}</button>${isSending && html`<button type="button" onClick=${() => abort.current.abort()}>Stop</button>`}</div></form>
    <div role="status" ref=${shown}>${result && html`<section class="panel code"><div class="panel-top"><span>${result.status ? html`<b class=${kindOf(result.status)}>${result.status}</b> ${result.word}` : 'Sending'} <span class="muted">${result.ms !== undefined && duration(result.ms)}</span></span>${result.text && html`<${Copy} what="the response" text=${result.text} />`}</div>
      ${result.note && html`<p class="muted">${result.note}</p>`}${result.text && html`<${Code} label="Response" text=${result.text} />`}${result.headers && html`<details><summary>Headers</summary><${Code} label="Headers of the response" text=${result.headers} /></details>`}</section>`}</div>
    ${example && !result && html`<section class="panel code"><div class="panel-top"><span><b class="ok">${example.status}</b> <span class="muted">Example of a response</span></span></div><${Code} label="Example of a response" text=${example.text} /></section>`}`;
}

async function exchange({ method, url, headers, type, body }, abort, show) {
  const start = performance.now();
  const key = credential.value;
  const response = await fetch(url, {
    method, signal: abort.signal, credentials: key ? 'omit' : 'same-origin', body: type ? body : undefined,
    headers: { accept: 'application/json, */*;q=0.5', ...headers, ...(type && { 'content-type': type }), ...(key && { authorization: `Bearer ${key}` }) },
  });
  const head = { status: response.status, word: response.statusText, ms: performance.now() - start, headers: [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n') };
  const media = response.headers.get('content-type') ?? '';
  if (!response.body || (media && !/json|text|yaml|xml|javascript/.test(media))) {
    show({ ...head, isOpen: false, text: '', note: media ? `A body of type ${media}.` : 'No body.' });
    abort.abort();
    return;
  }
  let text = '';
  for (const reader_ = response.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { done, value } = await reader_.read();
    if (done) break;
    text += value;
    if (text.length > MAX_SHOWN) {
      show({ ...head, isOpen: false, text: text.slice(0, MAX_SHOWN), note: `The first ${MAX_SHOWN / 1024} KiB of the response.` });
      abort.abort();
      return;
    }
    show({ ...head, isOpen: true, text });
  }
  show({ ...head, isOpen: false, text: pretty(text), note: text ? null : 'No body.' });
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function json(path) {
  const response = await fetch(`${ROOT}${path}`, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`${path} was answered with status ${response.status}.`);
  return response.json();
}

async function show() {
  const place = document.getElementById('app');
  applyTheme();
  addEventListener('hashchange', () => { here.value = fragment(); });
  const operator = local.getItem(SIGNED_IN) ? json('/v1/me').catch(() => null) : null;
  place.replaceChildren();
  render(html`<header class="bar"><${Brand} /></header><div class="frame reference"><aside class="side"></aside><main id="main"><${Late}><${Skeleton} /><//></main></div>`, place);
  try {
    const of = parsed(await json('/openapi.json'));
    me.value = await operator;
    render(html`<${Reference} of=${of} />`, place);
  } catch (failure) {
    render(html`<main class="card"><${Heading} title="API reference" /><p class="failure" role="alert">The reference cannot be shown: ${failure.message} For machines: <a href=${`${ROOT}/openapi.json`}>openapi.json</a>.</p></main>`, place);
  }
}

show();
