// The element in place of the form, which is shown if the element cannot be loaded.
const { classList } = document.documentElement;
const element = document.createElement('bellcast-preferences');
element.setAttribute('session', ''); // the source is instead of a session
element.source = async (changes) => {
  const headers = { accept: 'application/json', ...(changes && { 'content-type': 'application/json' }) };
  const response = await fetch(location.pathname, changes ? { method: 'PATCH', headers, body: JSON.stringify(changes) } : { headers });
  return response.ok ? { muted: {}, ...(await response.json()) } : response;
};
document.currentScript.before(element);
classList.add('scripted');
import('../bellcast.js').catch(() => classList.remove('scripted'));
