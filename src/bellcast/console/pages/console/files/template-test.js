/**
 * A test of the e-mail that is edited, sent to the operator.
 */
import { html, useState } from './html.js';
import { Dialog } from './draft-parts.js';
import { OwnEmail } from './own-email.js';
import { simulatedText } from './outcomes.js';
import { Icon } from './parts.js';
import { request } from './server.js';
import { me } from './session.js';

/** The button; it asks for the operator's e-mail if there is none. `wanted` is what the preview shows. */
export function SendTest({ path, wanted, isDisabled }) {
  const [state, setState] = useState({});
  const send = async () => {
    if (!me.value.email) {
      setState({ isAsking: true });
      return;
    }
    setState({ isSending: true });
    try {
      const { simulated } = await request('POST', path('/test'), { channel: 'email', to: { me: true }, ...wanted });
      setState({ sent: simulated ? `${simulatedText({ channel: 'email', simulated })}.` : `Sent to ${me.value.email}.` });
    } catch (problem) {
      setState({ problem: problem.message });
    }
  };
  return html`<button type="button" disabled=${isDisabled || state.isSending} onClick=${send}><${Icon} name="mail" /> Send me a test</button><span class="test-state" role="status">${state.sent ?? (state.isSending && 'Sending…')}${state.problem && html`<span class="error">${state.problem}</span>`}</span>
    ${state.isAsking && html`<${Dialog} label="Send me a test" close=${() => setState({})}><p class="muted">First confirm your address: tests go nowhere else.</p><${OwnEmail} done=${send} /><//>`}`;
}
