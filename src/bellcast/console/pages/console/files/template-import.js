/**
 * Imports of e-mails: MJML or HTML of another tool becomes the e-mail of the draft, once its author has seen what was removed.
 */
import { html, useState } from './html.js';
import { count } from './format.js';
import { Dialog } from './draft-parts.js';
import { Failure } from './load.js';
import { Icon } from './parts.js';
import { request } from './server.js';

const SHOWN = 50;

/** The dialog that reads a file or a pasted source. `use` gets the e-mail. */
export function ImportDialog({ close, use }) {
  const [source, setSource] = useState('');
  const [result, setResult] = useState({});
  const read = async (text) => {
    setSource(text);
    setResult({});
    if (!text.trim()) return;
    try {
      setResult(await request('POST', '/v1/templates/import', { format: /<mjml[\s>]/i.test(text) ? 'mjml' : 'html', source: text }));
    } catch (problem) {
      setResult({ problem });
    }
  };
  const { part, findings = [], problem } = result;
  return html`<${Dialog} label="Import an e-mail" isWide close=${close}><p class="muted">MJML, or HTML such as React Email writes. What runs or loads from elsewhere is removed.</p>
    <div class="form-field"><label class="form-label" for="import-file">File, chosen or dropped here</label><input id="import-file" type="file" accept=".mjml,.html,.htm,text/html" onChange=${async (event) => read(await event.currentTarget.files[0]?.text() ?? '')} /></div>
    <div class="form-field"><label class="form-label" for="import-source">Or paste it</label><textarea id="import-source" class="code" placeholder="<mjml>…</mjml>" rows="6" spellcheck=${false} value=${source} onInput=${(event) => setSource(event.currentTarget.value)} onChange=${(event) => read(event.currentTarget.value)}></textarea></div>
    ${problem && html`<${Failure} problem=${problem} />`}
    <div role="status">${part && html`<p class="import-result"><${Icon} name=${findings.length > 0 ? 'warn' : 'ok'} /> <b dir="auto">${part.subject ?? 'No subject'}</b> <span class="muted">${count(part.html.length, 'character')} of HTML, ${findings.length === 0 ? 'nothing was removed' : count(findings.length, 'finding')}</span></p>`}</div>
    ${findings.length > 0 && html`<ul class="import-findings" tabIndex="0" aria-label="Findings">${findings.slice(0, SHOWN).map((one, index) => html`<li key=${index} class=${one.severity}>${one.line && html`<code>line ${one.line}</code> `}${one.message}</li>`)}${findings.length > SHOWN && html`<li>and ${findings.length - SHOWN} more</li>`}</ul>`}
    <div class="dialog-tools"><button type="button" onClick=${close}>Cancel</button>${part ? html`<button type="button" class="primary" onClick=${() => { use(part); close(); }}>Use this e-mail</button>` : html`<button type="button" class="primary" disabled=${!source.trim()} onClick=${() => read(source)}>Read the e-mail</button>`}</div><//>`;
}
