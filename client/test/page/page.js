/** `?state=` names the inbox; every other parameter is an attribute of the bell. */

const { state = 'full', ...attributes } = Object.fromEntries(new URLSearchParams(location.search));
const bell = document.querySelector('bellcast-bell');
bell.setAttribute('token', state);
for (const [name, value] of Object.entries(attributes)) bell.setAttribute(name, value);
