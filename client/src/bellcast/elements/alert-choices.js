/** The panel's footer: alert settings of this browser, and keyboard shortcuts. */

import { isBlocked, isEnabled, isSupported, toggle } from './alert-settings.js';
import { h, icon, setParts } from './dom.js';

/** @import { AlertKind } from './alert-settings.js' */
/** @import { Texts } from './messages.js' */

/** @param {Texts} texts @param {(text: string) => void} notify */
export function alertChoices(texts, notify) {
  return /** @type {AlertKind[]} */ (['sound', 'desktop']).filter(isSupported).map((choice) => {
    const button = h('button', 'choice', {}, icon(choice), texts[choice], h('span', 'switch', { ariaHidden: 'true' }));
    /** @param {boolean} on */
    const show = (on) => {
      button.ariaPressed = String(on);
      setParts(button, 'choice', { on });
    };
    button.onclick = async () => {
      show(await toggle(choice));
      if (isBlocked(choice)) notify(texts.blocked);
    };
    show(isEnabled(choice));
    return button;
  });
}
