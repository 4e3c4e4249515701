/**
 * The API reference: a viewer over /openapi.json that sends requests with the session of the operator who is signed in to the console.
 */

const root = document.body.dataset.root;
const dark = matchMedia('(prefers-color-scheme: dark)');

const LIGHT = {
  'bg-color': '#ffffff', 'text-color': '#1c2433', 'primary-color': '#4f56d9', 'secondary-color': '#4f56d9', 'header-color': '#1c2433',
  'nav-bg-color': '#f6f8fb', 'nav-text-color': '#2f3a4d', 'nav-hover-bg-color': '#e6eaf3', 'nav-hover-text-color': '#3a41bd',
};
const DARK = {
  'bg-color': '#0f141d', 'text-color': '#e8ecf4', 'primary-color': '#8b93ff', 'secondary-color': '#8b93ff', 'header-color': '#e8ecf4',
  'nav-bg-color': '#171e2a', 'nav-text-color': '#c3cbda', 'nav-hover-bg-color': '#243044', 'nav-hover-text-color': '#aab0ff',
};

/** Create an element with attributes and children; texts stay texts. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function json(path) {
  const response = await fetch(`${root}${path}`, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`${path} was answered with status ${response.status}.`);
  return response.json();
}

/** Whose session "Send" uses. */
async function sender() {
  try {
    const { name, role } = await json('/v1/me');
    return [`Requests are sent as ${name} (${role}).`];
  } catch {
    return [element('a', { href: `${root}/console` }, 'Sign in to the console'), ' to send requests with your session, or enter a key under Authentication.'];
  }
}

/** The document for the viewer. It would fill fields with random texts that match their pattern. */
function shown(document) {
  for (const operations of Object.values(document.paths)) {
    for (const { parameters = [] } of Object.values(operations)) {
      for (const { schema } of parameters) delete schema.pattern;
    }
  }
  return document;
}

async function show() {
  const place = document.querySelector('#reference');
  const who = element('span', { role: 'status' });
  const mark = element('h1', {}, element('img', { src: `${root}/favicon.svg`, alt: '' }), 'Bellcast API');
  const header = element('header', {}, mark, element('a', { href: `${root}/errors` }, 'Errors'), element('a', { href: `${root}/openapi.json` }, 'openapi.json'), who);
  document.body.prepend(header);
  sender().then((texts) => who.replaceChildren(...texts));
  let described;
  try {
    [described] = await Promise.all([json('/openapi.json'), import('./openapi-explorer.js')]);
  } catch (failure) {
    place.replaceChildren(element('p', { role: 'alert' }, `The reference cannot be shown: ${failure.message} For machines: `, element('a', { href: `${root}/openapi.json` }, 'openapi.json'), '.'));
    return;
  }
  const viewer = element('openapi-explorer', {
    'server-url': `${location.origin}${root}`, 'render-style': 'focused', collapse: 'true', 'hide-server-selection': 'true',
    'use-path-in-nav-bar': 'false', 'default-schema-tab': 'body', 'fetch-credentials': 'same-origin',
  });
  const paint = () => Object.entries(dark.matches ? DARK : LIGHT).forEach(([name, value]) => viewer.setAttribute(name, value));
  paint();
  dark.addEventListener('change', paint);
  // The viewer has no search in windows narrower than 768 px.
  const search = element('input', { type: 'search', placeholder: 'Search operations', 'aria-label': 'Search operations' });
  search.addEventListener('input', async () => {
    viewer.onSearchChange({ target: search });
    await viewer.updateComplete;
    viewer.shadowRoot.querySelector('.m-endpoint')?.scrollIntoView();
  });
  header.append(search);
  place.replaceChildren(viewer);
  viewer.loadSpec(shown(described));
}

show();
