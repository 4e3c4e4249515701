/**
 * The fix for a refused origin: adds the origin to the setting once the operator confirms the new value, with Undo.
 */
import { html, useState } from './html.js';
import { Dialog } from './dialogs.js';
import { useLoad } from './load.js';
import { Icon, once } from './parts.js';
import { OWNERS } from './roles.js';
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

/** A button that allows the origin, or the variable that sets the origins; nothing for operators who may not change it. */
export const OriginFix = ({ page, refusal }) => isOfOrigin(refusal) && page.may(OWNERS) && html`<${AllowOrigin} key=${refusal.origin} origin=${refusal.origin} />`;

const settingOf = ({ settings }) => settings.find((one) => one.name === 'origins');
const originsOf = ({ value }) => value.split(',').filter(Boolean);

function AllowOrigin({ origin }) {
  const settings = useLoad((signal) => get('/v1/settings', signal), [origin]);
  const [isAsking, setAsking] = useState(false);
  const [isAllowed, setAllowed] = useState(false);
  const [error, setError] = useState('');
  const setting = settings.value && settingOf(settings.value);
  if (!setting) return null; // the refusal is shown without a fix
  const allowed = originsOf(setting), value = [...allowed, origin];
  const change = async (origins, revision) => {
    setError('');
    try {
      await request('PATCH', '/v1/settings', { revision, set: { origins: origins.join(',') } });
      setAsking(false);
      setAllowed(origins.includes(origin));
    } catch (problem) {
      setError(problem.status === 409 ? 'The settings have changed in the meantime. Close this and try again.' : problem.message);
    }
  };
  // Another operator may have changed the origins since.
  const undo = async () => {
    const now = await get('/v1/settings');
    await change(originsOf(settingOf(now)).filter((one) => one !== origin), now.revision);
  };
  if (isAllowed) return html`<p class="fixed" aria-live="polite"><${Icon} name="ok" /> Allowed. Pages of ${origin} can connect now. <button type="button" onClick=${once(undo)}>Undo</button><span class="error" role="alert">${error}</span></p>`;
  if (allowed.includes(origin)) return html`<p>This origin is allowed now.</p>`;
  if (setting.locked) return html`<p>Add this origin to <code>${setting.locked_by}</code>, which sets the origins and takes precedence over the console.</p>`;
  return html`<p><button type="button" class="primary" onClick=${() => setAsking(true)}>Allow this origin</button></p>
    ${isAsking && html`<${Dialog} label="Allow this origin" close=${() => setAsking(false)}><p>The setting <code>origins</code> becomes:</p><pre tabIndex="0"><code>${value.join('\n')}</code></pre>
      ${allowed.length === 0 && html`<p>No origin is set yet. From now on, pages of all other origins are refused.</p>`}<p class="error" role="alert">${error}</p>
      <div class="choice"><button type="button" class="primary" onClick=${once(() => change(value, settings.value.revision))}>Allow this origin</button><button type="button" onClick=${() => setAsking(false)}>Cancel</button></div><//>`}`;
}
