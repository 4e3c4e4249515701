/**
 * The template editor in a frame of an app's page. The page passes a token in a message, and gets events in messages.
 */
import { html, render, signal } from './html.js';
import { Failure } from './load.js';
import { here } from './router.js';
import { useToken, whenSignedOut } from './server.js';
import { applyTheme, me } from './session.js';

/** How long the page may take for the next token. */
const TOKEN_MS = 20_000;
const PREFIX = 'bellcast:';

/** The claims of the token, or a problem. */
const screen = signal(null);
let origin = null;
let token = null;
let gotToken = null;
let nextToken = null;

/** Tell the page of the token's origin. */
const emit = (type, detail = {}) => parent.postMessage({ type: PREFIX + type, detail }, origin);

/** The claims of a token, unverified: the server verifies each request. */
function claimsOf(text) {
  try {
    const bytes = Uint8Array.from(atob(text.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (one) => one.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return {};
  }
}

addEventListener('message', (event) => {
  if (event.source !== parent || event.data?.type !== `${PREFIX}token`) return;
  const claims = claimsOf(String(event.data.token));
  if (claims.aud !== 'editor' || claims.origin !== event.origin) {
    screen.value = { problem: new Error('This page may not use this token.') };
    // To the page that sent it, which is not the page of the token.
    parent.postMessage({ type: `${PREFIX}error`, detail: { message: 'The token belongs to pages of another origin.' } }, event.origin);
    return;
  }
  ({ origin } = event);
  token = event.data.token;
  useToken(token);
  me.value = { id: `editor ${claims.tenant} ${claims.name}`, name: `editor:${claims.name}`, role: 'editor', tenants: [claims.tenant], email: claims.email ?? null };
  gotToken?.(true);
  if (!screen.value?.claims) screen.value = { claims };
});

// The token has expired or was ended: the page gets the time to pass another one, for all requests that were refused.
whenSignedOut(() => {
  nextToken ??= new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), TOKEN_MS);
    gotToken = (isNew) => {
      clearTimeout(timer);
      resolve(isNew);
    };
    emit('expired');
  }).finally(() => { nextToken = null; });
  return nextToken;
});

function App() {
  const { claims, problem, Editor } = screen.value ?? {};
  if (problem) return html`<main class="card"><${Failure} problem=${problem} /></main>`;
  if (!claims) return null;
  if (!Editor) {
    // Loaded with a token only, so that pages without one get nothing but this module.
    import('./template-editor.js').then(({ TemplateEditor }) => { screen.value = { claims, Editor: TemplateEditor }; }, (failed) => { screen.value = { problem: failed }; });
    return null;
  }
  const query = new URLSearchParams(here.value.searchParams);
  query.set('tenant', claims.tenant);
  const may = (right) => claims.can.includes(right);
  const page = {
    me: me.value, query, title: 'Templates', key: query.get('template') ?? '', url: () => '#', may: () => true,
    embedded: { may, emit, token: () => token },
  };
  return html`<main id="main" tabIndex="-1"><${Editor} page=${page} /></main>`;
}

applyTheme();
render(html`<${App} />`, document.getElementById('app'));
parent.postMessage({ type: `${PREFIX}ready` }, '*'); // says nothing but that the frame listens
