/**
 * The messages of a template before there is data for them: their texts, with variables as tags.
 */
import { html } from './html.js';
import { Icon } from './parts.js';
import { textParts } from './text-input.js';

const Blocks = ({ of }) => of.map((one, index) => html`<${Block} key=${index} of=${one} />`);

function Block({ of: { type, text, align, blocks, columns } }) {
  if (columns) return html`<div class="halves">${columns.map((one, index) => html`<div key=${index}><${Blocks} of=${one.blocks} /></div>`)}</div>`;
  if (blocks) return html`<${Blocks} of=${blocks} />`;
  if (type === 'divider') return html`<hr />`;
  const inner = textParts(text, type === 'text');
  return type === 'heading' ? html`<b class="as-heading level-1">${inner}</b>` : type === 'button' ? html`<span class="sketch-button">${inner}</span>` : html`<p class=${align}>${inner}</p>`;
}

/** @param {{of: any}} template */
export const Sketch = ({ of: { inbox, email, push, sms } }) => html`${inbox && html`<div class="bell-row"><span class="avatar tone-0"><${Icon} name="notifications" /></span><b>${textParts(inbox.title)}</b></div>`}
  ${email && html`<div class="mail-preview"><p class="subject"><b>${textParts(email.subject)}</b></p><div class="sketch"><${Blocks} of=${email.blocks} /></div></div>`}
  ${push && html`<div class="push"><b>${textParts(push.title)}</b></div>`}${sms && html`<p class="bubble">${textParts(sms.text)}</p>`}`;
