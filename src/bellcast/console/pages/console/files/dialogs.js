/**
 * Dialogs, and the question before an action.
 */
import { Form } from './form.js';
import { html, render, useLayoutEffect, useRef } from './html.js';

/** A modal dialog, which is open while it is rendered. `close` is called when it closes, as when another URL is shown; the focus returns to where it was. One that `isFixed` ends only by its buttons. */
export function Modal({ label, close, isFixed = false, class: name, children }) {
  const place = useRef(null), isGone = useRef(false);
  useLayoutEffect(() => {
    const { current } = place;
    // A button in a closed menu cannot receive the focus, so the button that opens the menu does.
    for (const menu of document.querySelectorAll(':popover-open')) menu.hidePopover();
    current.showModal();
    return () => {
      isGone.current = true;
      current.close();
    };
  }, []);
  return html`<dialog class=${name} aria-label=${label} closedby=${isFixed ? 'none' : null} ref=${place} onClose=${() => isGone.current || close?.()} onCancel=${(event) => isFixed && event.preventDefault()}>${children}</dialog>`;
}

/** A modal dialog with its label as its heading. */
export const Dialog = ({ class: name = 'ask', children, ...more }) => html`<${Modal} class=${name} ...${more}><h2>${more.label}</h2>${children}<//>`;

/**
 * Ask whether to act. The dialog is beside the page, so that it stays when the menu closes in which its button is.
 * @param {{label: string, word: string, act: () => any, about?: any, isDanger?: boolean}} question `label` is the question without its mark, `word` the button, `about` the consequence
 */
export function ask({ label, word, act, about, isDanger }) {
  const place = document.body.appendChild(document.createElement('div'));
  const close = () => {
    render(null, place);
    place.remove();
  };
  const send = async () => {
    await act();
    close();
  };
  // A press of Enter too many on the button of the page deletes nothing.
  render(html`<${Dialog} label=${`${label}?`} close=${close}>${about && html`<p>${about}</p>`}<${Form} button=${word} isDanger=${isDanger} send=${send} more=${html`<button type="button" autofocus=${isDanger} onClick=${close}>Cancel</button>`} /><//>`, place);
}

/** A button that acts once a dialog has said what follows (`about`) and is confirmed. It is red only for what cannot be undone. */
export const Confirm = ({ isDanger = false, isPrimary = false, ...question }) => html`<button type="button" class=${isDanger ? 'danger' : isPrimary ? 'primary' : null} aria-label=${question.label} aria-haspopup="dialog"
  onClick=${() => ask({ isDanger, ...question })}>${question.word}…</button>`;
