/**
 * A button with a way back.
 */
import { html, useRef, useState } from './html.js';
import { Icon, once } from './parts.js';

/** A button that acts at once. `act` resolves to what was done and how to undo it, `{done, undo}`, or to nothing. */
export function Undoable({ word, act, isPrimary = true }) {
  const [done, setDone] = useState(null);
  const [problem, setProblem] = useState('');
  const button = useRef(null);
  const attempt = async (next) => {
    setProblem('');
    try {
      setDone(await next() ?? null);
      setTimeout(() => document.activeElement === document.body && button.current?.focus()); // the other button took its place
    } catch (failed) {
      setProblem(failed.message);
    }
  };
  const error = problem && html`<span class="error" role="alert">${problem}</span>`;
  if (!done) return html`<button type="button" ref=${button} class=${isPrimary ? 'primary' : null} onClick=${once(() => attempt(act))}>${word}</button>${error}`;
  return html`<span class="fixed" role="status"><${Icon} name="ok" /> ${done.done} <button type="button" ref=${button} onClick=${once(() => attempt(done.undo))}>Undo</button>${error}</span>`;
}
