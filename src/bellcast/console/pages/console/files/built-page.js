/**
 * A page that is still built of elements by `dom.js`, within the components of the console.
 */
import { html, useEffect, useLayoutEffect, useRef } from './html.js';
import { fill } from './dom.js';
import { isTemporary, refill, watchLoads } from './list.js';
import { openLoads, outdated, refreshes } from './load.js';

/** @param {{build: (page: any) => any, page: any}} of `build` returns the nodes of the page */
export function BuiltPage({ build, page }) {
  const place = useRef(null);
  const shown = useRef({ abort: new AbortController(), since: new Date(), round: refreshes.peek() });
  const round = refreshes.value;
  useLayoutEffect(() => {
    const isRefresh = shown.current.round !== round && shown.current.url === page.url(page.path);
    const abort = new AbortController();
    let isOpen = true;
    openLoads.value += 1;
    const close = () => {
      if (isOpen) openLoads.value -= 1;
      isOpen = false;
    };
    abort.signal.addEventListener('abort', close);
    const context = { ...page, signal: abort.signal };
    const accept = () => {
      if (shown.current.abort !== abort) shown.current.abort.abort();
      shown.current = { abort, since: new Date(), round, url: page.url(page.path) };
      close();
    };
    if (isRefresh) {
      // Built off screen, so that the old page stays until everything is loaded.
      const built = watchLoads(abort.signal, (problem) => {
        if (problem && isTemporary(problem)) {
          outdated.value ??= { problem, since: shown.current.since };
          abort.abort();
          return;
        }
        accept();
        if (place.current) refill(place.current, nodes);
      });
      const nodes = build(context);
      built();
    } else {
      shown.current.abort.abort();
      shown.current.abort = abort;
      const built = watchLoads(abort.signal, accept);
      fill(place.current, build(context));
      built();
    }
    return () => { if (shown.current.abort !== abort) abort.abort(); };
  }, [build, page.href, round]);
  useEffect(() => () => shown.current.abort.abort(), []);
  return html`<div class="built" ref=${place}></div>`;
}
