/**
 * The fix for a refused origin: adds the origin to the setting once the operator confirms the new value.
 */
import { openDialog } from './dialog.js';
import { fill, h } from './dom.js';
import { OWNERS } from './page.js';
import { get, request } from './server.js';

const FORBIDDEN = new Set([403, 4403]);

/** Whether a request or a connection was refused because of the origin of its page. Only some dialects name the reason. */
function isOfOrigin({ origin, status, code, detail }) {
  // A client other than a browser can send any text, such as two origins and a comma.
  return isOrigin(origin) && (FORBIDDEN.has(status) || FORBIDDEN.has(code)) && (!detail || /origin/i.test(detail));
}

function isOrigin(text) {
  return /^https?:/.test(text ?? '') && URL.canParse(text) && new URL(text).origin === text;
}

/** A button that allows the origin, or the variable that sets the origins; null for operators who may not change it. */
export function originFix(page, refusal) {
  if (!isOfOrigin(refusal) || !page.may(OWNERS)) return null;
  const place = h('p', { 'aria-live': 'polite' });
  show(page, place, refusal.origin);
  return place;
}

async function show(page, place, origin) {
  let document;
  try {
    document = await get('/v1/settings', page.signal);
  } catch {
    return; // show the refusal without a fix
  }
  const setting = document.settings.find((one) => one.name === 'origins');
  const allowed = setting.value.split(',').filter(Boolean);
  if (allowed.includes(origin)) fill(place, 'This origin is allowed now.');
  else if (setting.locked) fill(place, 'Add this origin to ', h('code', {}, setting.locked_by), ', which sets the origins and takes precedence over the console.');
  else fill(place, h('button', { type: 'button', onclick: () => confirm(page, place, origin, { revision: document.revision, allowed }) }, 'Allow this origin'));
}

/** Show the new value, and save it on request. */
function confirm(page, place, origin, { revision, allowed }) {
  const value = [...allowed, origin];
  const error = h('p', { class: 'error', role: 'alert' });
  const save = h('button', { type: 'button', class: 'primary', onclick: async () => {
    save.disabled = true;
    try {
      await request('PATCH', '/v1/settings', { revision, set: { origins: value.join(',') } }, page.signal);
      dialog.close();
      fill(place, `Allowed. Pages of ${origin} can connect now.`);
    } catch (problem) {
      error.textContent = problem.status === 409 ? 'The settings have changed in the meantime. Close this and try again.' : problem.message;
      save.disabled = false;
    }
  } }, 'Allow this origin');
  const dialog = openDialog(page, 'Allow this origin',
    h('p', {}, 'The setting ', h('code', {}, 'origins'), ' becomes:'),
    h('pre', { tabindex: '0' }, h('code', {}, value.join('\n'))),
    allowed.length === 0 && h('p', {}, 'No origin is set yet. From now on, pages of all other origins are refused.'),
    error, h('div', { class: 'choice' }, save, h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
}
