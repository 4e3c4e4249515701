/**
 * Pages that an operator sees once: the set-up of the console with its first owner, and of a second factor. They are loaded when they are needed.
 */
import { Field, Form } from './form.js';
import { html, useEffect, useRef, useState } from './html.js';
import { Id } from './parts.js';
import { AddPasskey, hasPasskeys } from './passkeys.js';
import { request } from './server.js';
import { ByProvider, CODE, Framed, NAME, Password } from './sign-in.js';

/** The first owner, with the code of the URL's fragment. */
export function SetUp({ done, provider }) {
  const code = useRef(new URLSearchParams(location.hash.slice(1)).get('code') ?? '').current;
  const [hasCode, setHasCode] = useState(code !== '');
  // The link with the code, opened while this page is shown.
  useEffect(() => {
    const again = () => location.reload();
    addEventListener('hashchange', again);
    return () => removeEventListener('hashchange', again);
  }, []);
  return html`<${Framed} title="Set up the console" note="Create the first owner. Three steps follow."><${ByProvider} provider=${provider} />
    <${Form} noValidate button="Create owner" send=${async ({ code: entered, name, password }) => {
    try {
      const operator = await request('POST', '/v1/setup', { code: entered.trim(), name: name.trim().toLowerCase(), password });
      history.replaceState(null, '', location.pathname);
      done(operator);
    } catch (problem) {
      setHasCode(problem.status === 422); // the code is right
      throw problem;
    }
  }}><div class="fields" hidden=${hasCode}><${Field} label="Code" name="code" required defaultValue=${code} autocomplete="off" spellcheck=${false} hint=${html`The server printed it when it started; <code>bellcast operator setup-code</code> prints a new one.`} /></div><div class="fields"><${Field} ...${NAME} hint="Such as jo@example.com, or jo." />
      <${Password} minlength="12" autocomplete="new-password" hint="At least 12 characters." /></div><//><//>`;
}

/** The page of an operator who must set up a second factor. */
export const Enrolment = ({ done, signOut }) => html`<${Framed} title="Set up a second factor"><p class="muted">This server requires a second factor for every operator.</p>
  <${MfaSetup} done=${done} />${hasPasskeys() && html`<p class="or muted">or</p><${AddPasskey} done=${done} />`}<button type="button" onClick=${signOut}>Sign out</button><//>`;

/** Steps to add an authenticator app; `done` is called when the operator has stored the recovery codes. */
export function MfaSetup({ done, isSecondary = false }) {
  const [offer, setOffer] = useState(null);
  const [codes, setCodes] = useState(null);
  const place = useRef(null);
  useEffect(() => { if (offer) place.current.querySelector('input')?.focus(); }, [offer]);
  if (codes) return html`<div class="steps"><${RecoveryCodes} codes=${codes} done=${done} /></div>`;
  if (!offer) return html`<div class="steps"><${Form} isSecondary=${isSecondary} button=${isSecondary ? 'Set up an authenticator app…' : 'Set up an authenticator app'} send=${async () => setOffer(await request('POST', '/v1/me/mfa'))} /></div>`;
  return html`<div class="steps" ref=${place}><p>Scan this code with your authenticator app:</p><img class="qr" src=${offer.qr_code} alt="QR code of the key" /><p>Or enter the key, as a time-based code:</p><p><${Id} of=${offer.secret} /></p><p><a href=${offer.uri}>Open the app on this device</a></p>
    <${Form} button="Confirm" send=${async ({ code }) => setCodes((await request('PUT', '/v1/me/mfa', { code })).codes)}><${Field} ...${CODE} hint="The six digits that the app shows." /><//></div>`;
}

export const RecoveryCodes = ({ codes, done }) => html`<p>Each of these codes replaces the app or the passkey once, for example if you lose the phone. Store them now: they are not shown again.</p>
  <pre tabIndex="0"><code>${codes.join('\n')}</code></pre><button type="button" class="primary" onClick=${done}>I have stored them</button>`;
