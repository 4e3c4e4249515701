/** `<bellcast-template-editor>`: the editor of a tenant's templates, in a frame of the Bellcast server. */

/** Without a DOM (server rendering) the module must still load. @type {typeof HTMLElement} */
const BaseElement = globalThis.HTMLElement ?? class {};
const PREFIX = 'bellcast:';

/**
 * @attr {string} server  address of the Bellcast server
 * @attr {string} template  the template's key
 * @attr {string} token  an editor token, from `bell.editor_token(…)` on your server
 * @attr {string} token-url  fetched with the page's cookies for each token: responds with `{"token": "…"}` or the token as text
 * @attr {string} locale  the language that is shown first; by default the template's own
 * @fires {{template: string}} save  the draft was saved
 * @fires {{template: string, version: number}} publish  the draft was published
 * @fires {{template: string}} close  the user is done: remove the element
 * @fires {{message: string}} error  the editor cannot be opened
 * @fires {{}} expired  the token has expired; with `token-url`, the element has fetched the next one
 */
export class TemplateEditor extends BaseElement {
  static observedAttributes = ['token'];

  /** @type {HTMLIFrameElement | undefined} */
  #frame;
  /** @type {AbortController | undefined} */
  #connected;
  #origin = '';

  connectedCallback() {
    const server = new URL(this.getAttribute('server') ?? '', document.baseURI);
    const url = new URL(`${server.href.replace(/\/*$/, '')}/embed/template-editor`);
    for (const name of ['template', 'locale']) {
      const value = this.getAttribute(name);
      if (value) url.searchParams.set(name, value);
    }
    this.#origin = url.origin;
    this.#connected = new AbortController();
    addEventListener('message', (event) => this.#receive(event), { signal: this.#connected.signal });
    this.#frame = document.createElement('iframe');
    this.#frame.title = this.title || 'Template editor';
    this.#frame.style.cssText = 'display:block;width:100%;height:100%;min-height:inherit;border:0';
    this.#frame.src = url.href;
    this.style.display ||= 'block';
    this.style.minHeight ||= '40rem';
    this.replaceChildren(this.#frame);
  }

  disconnectedCallback() {
    this.#connected?.abort();
    this.replaceChildren();
  }

  attributeChangedCallback() {
    if (this.#frame?.isConnected) this.#pass();
  }

  /** @param {MessageEvent} event */
  #receive({ source, origin, data }) {
    // Other frames and pages may send messages too.
    if (source !== this.#frame?.contentWindow || origin !== this.#origin || !String(data?.type).startsWith(PREFIX)) return;
    const type = data.type.slice(PREFIX.length);
    if (type === 'ready' || (type === 'expired' && this.getAttribute('token-url'))) this.#pass();
    if (type !== 'ready') this.#fire(type, data.detail);
  }

  async #pass() {
    try {
      const token = await this.#token();
      if (token === null) return; // the page sets it later
      // To the server only: the frame may have been led elsewhere.
      this.#frame?.contentWindow?.postMessage({ type: `${PREFIX}token`, token }, this.#origin);
    } catch (failure) {
      this.#fire('error', { message: `No token: ${failure instanceof Error ? failure.message : failure}` });
    }
  }

  /** @returns {Promise<string | null>} */
  async #token() {
    const url = this.getAttribute('token-url');
    if (!url) return this.getAttribute('token');
    const response = await fetch(url, { headers: { accept: 'application/json' } });
    if (!response.ok) throw new Error(`${url} responded with ${response.status}`);
    const text = await response.text();
    return text.startsWith('{') ? JSON.parse(text).token : text.trim();
  }

  /** @param {string} type @param {unknown} detail */
  #fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

if (globalThis.customElements && !customElements.get('bellcast-template-editor')) customElements.define('bellcast-template-editor', TemplateEditor);
