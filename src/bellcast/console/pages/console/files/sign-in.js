/**
 * Sign-in, and two dialogs: a new sign-in when the session has ended, and the password before sensitive changes.
 */
import { Field, Form } from './form.js';
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { Dialog, Modal } from './dialogs.js';
import { loadStyle } from './load.js';
import { Icon } from './parts.js';
import { PasskeyButton, hasPasskeys } from './passkeys.js';
import { ROOT, get, request } from './server.js';
import { SIGNED_IN_PATH } from './session.js';

await loadStyle('sign-in.css');

const PLAIN = { autocapitalize: 'none', spellcheck: false, required: true };
export const NAME = { label: 'E-mail or name', name: 'name', maxlength: 100, autocomplete: 'username', ...PLAIN };
export const CODE = { label: 'Code', name: 'code', maxlength: 100, autocomplete: 'one-time-code', inputmode: 'text', ...PLAIN };

/** The field of a password, which can be shown while it is typed. */
export function Password(attributes) {
  const [isShown, setShown] = useState(false);
  return html`<div class="peek"><${Field} label="Password" name="password" required ...${attributes} type=${isShown ? 'text' : 'password'} /><button type="button" class="quiet" aria-pressed=${String(isShown)} title=${isShown ? 'Hide' : 'Show'} onClick=${() => setShown(!isShown)}><${Icon} name=${isShown ? 'eye-off' : 'eye'} /><span class="hidden">Show the password</span></button></div>`;
}

/** The frame of a page before the console, and where it is: `tag` is a part of a dialog over the pages, otherwise the page itself. */
export function Framed({ tag: Tag = 'main', title, note, children }) {
  const place = useRef(null);
  useEffect(() => [...place.current.querySelectorAll('input')].find(({ value }) => value === '')?.focus(), []);
  return html`<${Tag} class="card" ref=${place}><p class="brand"><img src=${`${ROOT}/favicon.svg`} width="24" height="24" alt="" />Bellcast</p><h1 tabIndex="-1">${title}</h1>${note && html`<p class="muted host">${note}</p>`}${children}<//>`;
}

/** Windows that return from the identity provider report on this channel. */
const SIGN_INS = 'bellcast-sign-ins';

/** The page of a window that returned from the identity provider: the page that opened it goes on. */
export function SignedIn() {
  useEffect(() => {
    const channel = new BroadcastChannel(SIGN_INS);
    channel.postMessage('signed in');
    channel.close();
    window.close(); // not every browser permits it
  }, []);
  return html`<${Framed} title="You are signed in"><p class="muted">Close this window to go on where you were.</p><//>`;
}

/** A button that signs in with the identity provider, and returns to this page. With `done`, the provider opens in a new window, and this page stays as it is. */
function ProviderButton({ provider, body = {}, done }) {
  const [problem, setProblem] = useState('');
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    // The browser may restore this page when the operator returns without signing in.
    const enable = () => setBusy(false);
    addEventListener('pageshow', enable);
    return () => removeEventListener('pageshow', enable);
  }, []);
  useEffect(() => {
    if (!done) return undefined;
    const channel = new BroadcastChannel(SIGN_INS);
    channel.onmessage = done;
    return () => channel.close();
  }, []);
  const start = async () => {
    setBusy(true);
    setProblem('');
    // Browsers open a window only while they handle the click.
    const target = done ? window.open('', '_blank') : window;
    try {
      if (!target) throw new Error('The browser blocked the window of the provider. Allow windows for this page.');
      const path = done ? `/console${SIGNED_IN_PATH}` : `${location.pathname.slice(ROOT.length)}${location.search}`;
      target.location.assign((await request('POST', '/v1/session/oidc', { return_path: path, ...body })).url);
    } catch (failed) {
      if (done) target?.close();
      setProblem(failed.message);
      setBusy(false);
    }
    if (done) setBusy(false);
  };
  return html`<button type="button" class="primary" disabled=${isBusy} onClick=${start}>Sign in with ${provider}</button><p class="error" role="alert">${problem}</p>`;
}

/** How to sign in without a password for this server, if there is an identity provider. */
export const ByProvider = ({ provider, done }) => provider && html`<div class="provider"><${ProviderButton} provider=${provider} done=${done} /><p class="or muted">or with a password</p></div>`;

export function SignIn({ done, provider, tag, name: known }) {
  const [needsCode, setNeedsCode] = useState(false);
  const [isWrong, setWrong] = useState(false);
  const place = useRef(null);
  useLayoutEffect(() => { if (needsCode) place.current.querySelector('[name=code]').focus(); }, [needsCode]);
  return html`<${Framed} tag=${tag} title="Sign in" note=${location.hash.startsWith('#code=') && 'The console is set up already.'}>${!needsCode && html`<${ByProvider} provider=${provider} done=${tag && (async () => done(await get('/v1/me')))} />`}<div ref=${place}><${Form} button="Sign in" busy="Signing in…" send=${async ({ name, password, code }) => {
    try {
      done(await request('POST', '/v1/session', { name: name.trim().toLowerCase(), password, ...(code && { code }) }));
    } catch (problem) {
      if (problem.code === 'mfa_required') return setNeedsCode(true);
      if (problem.status === 401 && !needsCode) {
        setWrong(true);
        place.current.querySelector('[name=password]').select();
      }
      throw problem;
    }
  }}><div class="fields" hidden=${needsCode}><${Field} ...${NAME} defaultValue=${known} /><${Password} autocomplete="current-password" ...${isWrong && { 'aria-invalid': 'true', onInput: () => setWrong(false) }} /></div>
      ${needsCode && html`<${Field} ...${CODE} hint="From your authenticator app, or a recovery code, which works once. Not needed with a passkey." />`}<//></div>
    ${hasPasskeys() && html`<div class="passkey"><${PasskeyButton} done=${done} /></div>`}<p class="muted">${needsCode ? 'An owner can remove a lost app or passkey.' : 'Forgot the password? An owner can set a new one.'}</p><//>`;
}

/** The open dialog: its kind, its parameters, and `answer`, which is called with true to repeat the request; null if none is open. */
const asked = signal(null);

/** The promise of each kind that is open. */
const open = {};
const ask = (kind, read) => (open[kind] ??= (async () => {
  try {
    const given = await read();
    return await new Promise((resolve) => {
      asked.value = { kind, ...given, answer: (isDone) => {
        asked.value = null;
        resolve(isDone);
      } };
    });
  } finally {
    delete open[kind];
  }
})());

/** Ask for the password again, or for a new sign-in at the provider, for a request; it resolves to true if the same operator entered it. */
export const askPassword = (operator, method, path) => ask('password', async () => ({ operator, what: (await import('./audit-sentences.js')).actOf(method, path), ...(operator.is_external && await get('/v1/setup')) }));

/** Ask for a new sign-in over the page, which stays as it is. Resolves to true if the same operator signed in; for another one, the console begins again. */
export const signInAgain = (operator) => ask('sign-in', async () => ({ operator, ...await get('/v1/setup') }));

export function Asked() {
  const { kind, provider, operator, what, answer } = asked.value ?? {};
  const isEnded = kind === 'sign-in';
  useLayoutEffect(() => { document.body.classList.toggle('ended', isEnded); }, [isEnded]);
  const goOn = (signedIn) => {
    if (signedIn.name !== operator.name || signedIn.must_enrol) location.reload();
    else answer(true);
  };
  if (isEnded) {
    return html`<${Modal} key="sign-in" class="again" label="Sign in again" isFixed><p class="notice">Your session has ended. Sign in to go on: this page stays as it is.</p><${SignIn} tag="div" provider=${provider} name=${operator.name} done=${goOn} /><//>`;
  }
  if (kind !== 'password') return null;
  const cancel = () => answer(false), refuse = html`<button type="button" onClick=${cancel}>Cancel</button>`;
  if (provider) {
    return html`<${Dialog} key="provider" label="Sign in again" close=${cancel}><p class="muted">${what} needs a new sign-in, once in 10 minutes. The provider opens in a new window; this page stays as it is.</p>
      <div class="choice"><${ProviderButton} provider=${provider} body=${{ reauthenticate: true }} done=${async () => goOn(await get('/v1/me'))} />${refuse}</div><//>`;
  }
  return html`<${Dialog} key="password" label="Confirm it’s you" close=${cancel}><p class="muted">${what} needs your password, once in 10 minutes.</p><${Form} button="Continue" more=${refuse} send=${async ({ again }) => {
    await request('PUT', '/v1/session/verification', { password: again });
    goOn(await get('/v1/me'));
  }}><${Password} label="Current password" name="again" autocomplete="current-password" /><//><//>`;
}
