// Names and roles that the theme's controls lack for screen readers.

/** @param {Element | undefined | null} element @param {Record<string, string>} attributes */
function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) if (element?.getAttribute(name) !== value) element?.setAttribute(name, value);
}

/** The search dialog, which the theme creates in a shadow root. @param {Element} host @param {ShadowRoot} root */
function nameSearch(host, root) {
  set(host, { role: 'search', 'aria-label': 'Search the documentation' });
  set(root.querySelector('input'), { 'aria-label': 'Search', 'aria-expanded': 'true', 'aria-controls': 'results', 'aria-autocomplete': 'list' });
  set(root.querySelector('ol'), { id: 'results', 'aria-label': 'Results' });
  const [close, filter] = root.querySelectorAll('button:not([type])');
  set(close, { 'aria-label': 'Close the search' });
  set(filter, { 'aria-label': 'Show the filters' });
  for (const [level, heading] of root.querySelectorAll('h3, h4').entries()) set(heading, { role: 'heading', 'aria-level': String(level + 2) });
}

function nameControls() {
  // A label may have no other name than its text.
  for (const label of document.querySelectorAll('label[aria-label]')) {
    if (!label.matches('.md-overlay')) label.append(Object.assign(document.createElement('span'), { className: 'hidden-text', textContent: label.ariaLabel }));
    label.removeAttribute('aria-label');
  }
  set(document.querySelector('.md-overlay'), { 'aria-hidden': 'true' });
  for (const [number, nav] of document.querySelectorAll('.md-code__nav').entries()) set(nav, { 'aria-label': `Code ${number + 1}` });
  for (const head of document.querySelectorAll('th:empty')) head.replaceWith(document.createElement('td'));
  for (const table of document.querySelectorAll('.md-typeset__scrollwrap')) set(table, { tabindex: '0' });
  breakNames();
  for (const code of blocks()) sizes.observe(code);
  for (const host of document.querySelectorAll('body > div')) {
    if (!host.shadowRoot) continue;
    nameSearch(host, host.shadowRoot);
    observer.observe(host.shadowRoot, { childList: true, subtree: true });
  }
}

/** Let names such as max_window be broken after an underscore, in tables on phones. */
function breakNames() {
  for (const code of document.querySelectorAll('td:not(:last-child) code:not(:has(*))')) {
    if (code.innerHTML.includes('_')) code.innerHTML = code.innerHTML.replaceAll('_', '_<wbr>');
  }
}

const blocks = () => [...document.querySelectorAll('pre > code')];

/** Let keys scroll a code block that is wider than the page: it gets the focus, and a name. The theme does so for mice only. @param {Element} code */
function nameCode(code) {
  if (code.scrollWidth > code.clientWidth) set(code, { tabindex: '0', role: 'group', 'aria-label': `Code ${blocks().indexOf(code) + 1}` });
  else for (const name of ['tabindex', 'role', 'aria-label']) code.removeAttribute(name);
}

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => nameCode(target)));
const observer = new MutationObserver((changes) => {
  // Without a mouse, the theme removes the attribute after the size is known.
  for (const { type, target } of changes) if (type === 'attributes' && target.matches('pre > code')) nameCode(target);
  nameControls();
});
observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ['tabindex'] });
nameControls();
const skip = /** @type {HTMLAnchorElement | null} */ (document.querySelector('.md-skip'));
if (skip && !document.getElementById(decodeURIComponent(skip.hash.slice(1)))) skip.parentElement?.remove(); // on the page of unknown paths
