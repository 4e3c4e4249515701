/**
 * The question before an action: a dialog that says what follows.
 */
import { html, render } from './html.js';
import { Dialog, Form } from './parts.js';

/**
 * Ask whether to act. The dialog is beside the page, so that it stays when the menu closes in which its button is; the page's history closes it.
 * @param {{label: string, word: string, act: () => any, about?: any, isDanger?: boolean}} question `label` is the question without its mark, `word` the button, `about` the consequence
 */
export function ask({ label, word, act, about, isDanger }) {
  const place = document.body.appendChild(document.createElement('div'));
  const close = () => {
    removeEventListener('popstate', close);
    render(null, place);
    place.remove();
  };
  addEventListener('popstate', close);
  const send = async () => {
    await act();
    close();
  };
  // A press of Enter too many on the button of the page deletes nothing.
  render(html`<${Dialog} label=${`${label}?`} close=${close}>${about && html`<p>${about}</p>`}<${Form} button=${word} isDanger=${isDanger} send=${send} more=${html`<button type="button" autofocus=${isDanger} onClick=${close}>Cancel</button>`} /><//>`, place);
}
