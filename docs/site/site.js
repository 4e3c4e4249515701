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
  for (const host of document.querySelectorAll('body > div')) {
    if (!host.shadowRoot) continue;
    nameSearch(host, host.shadowRoot);
    observer.observe(host.shadowRoot, { childList: true, subtree: true });
  }
}

const observer = new MutationObserver(nameControls);
observer.observe(document.body, { childList: true, subtree: true });
nameControls();
const skip = /** @type {HTMLAnchorElement | null} */ (document.querySelector('.md-skip'));
if (skip && !document.getElementById(decodeURIComponent(skip.hash.slice(1)))) skip.parentElement?.remove(); // on the page of unknown paths
