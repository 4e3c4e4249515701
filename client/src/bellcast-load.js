/**
 * Loads the elements from the Bellcast server, and tries again while it cannot be reached. A page that is loaded in an outage then gets its
 * bell without a reload. Serve this file from your own app:
 * `<script src="/static/bellcast-load.js" data-server="https://bell.example.com" defer></script>`
 *
 * `window.bellcast` is a promise of the module, for scripts after this one.
 */
(() => {
  const LONGEST_PAUSE = 30_000; // ms
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const server = (script.dataset.server ?? '').replace(/\/+$/, '');

  /** Browsers remember that a module failed, so each attempt has another URL. @param {number} attempt @returns {Promise<any>} */
  const load = (attempt) => import(/* webpackIgnore: true */ /* @vite-ignore */ `${server}/bellcast.js${attempt ? `?${attempt}` : ''}`)
    .catch(async () => {
      await pause(Math.min(LONGEST_PAUSE, 1_000 * 2 ** attempt) * (0.5 + Math.random() / 2));
      return load(attempt + 1);
    });

  /** Wait this long (ms), or until the browser is online again. @param {number} delay */
  const pause = (delay) => new Promise((done) => {
    const timer = setTimeout(end, delay);
    function end() {
      clearTimeout(timer);
      removeEventListener('online', end);
      done(undefined);
    }
    addEventListener('online', end);
  });

  Object.assign(window, { bellcast: load(0) });
})();
