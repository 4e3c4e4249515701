/** `<bellcast-inbox>`: an inbox within a page. */

import { h } from './dom.js';
import { Element } from './element.js';

/** @import { Session } from '../session.js' */
/** @import { Panel } from './panel.js' */

/**
 * The list of the panel, as a part of the page.
 * @attr {string} tabs  views, types and tags, each with an optional label: `all, unread, type:booking=Bookings, tag:vip`; as a property also `Tab[]`
 * @attr {string} sign-in-url  a link in the panel of an ended session
 * @slot header  next to the heading
 * @slot empty  instead of the text of an empty inbox
 * @slot none  instead of the text of another empty view
 * @slot failed  instead of the text while the server cannot be reached
 * @slot ended  instead of the text of an ended session
 */
export class Inbox extends Element {
  static observedAttributes = [...Element.observedAttributes, 'tabs'];

  /** @type {Panel | null} */
  #panel = null;

  /** @param {Session} session @override */
  build(session) {
    const element = h('section', 'panel page');
    this.#panel = null;
    void this.createPanel(element, session, () => {}).then((panel) => {
      if (!panel) return; // this element has restarted, and may already have another panel
      this.#panel = panel;
      panel.open();
      this.renderNow(); // a frame without the counts would move the header
    });
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(element);
    this.abortSignal?.addEventListener('abort', () => sizes.disconnect());
    return [element];
  }

  /** @override */
  render() {
    if (this.#panel) this.markSeen(this.#panel.render(Date.now()));
  }
}
