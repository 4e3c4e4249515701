/**
 * Loading: one hook for every request of a page, and its states as components: loading, failed, outdated.
 */
import { Copy } from './clipboard.js';
import { effect, html, signal, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { secondOf } from './format.js';
import { Icon } from './icons.js';

/** A skeleton appears after this time, so that quick responses do not flicker. */
export const SKELETON_MS = 150;

/** Requests of the page that have not ended. */
export const openLoads = signal(0);
/** Raised to read everything on the page again. */
export const refreshes = signal(0);
/** Why data on the page is outdated: the problem, the time of the data, and what to repeat if it is not a refresh; null while it is current. */
export const outdated = signal(null);

/** The object that is open beside a list, as it was read last: its row shows the same. */
export const opened = signal(null);

export function useOpened(value) {
  useLayoutEffect(() => {
    opened.value = value ?? null;
    return () => { opened.value = null; };
  }, [value]);
}

export function refresh() {
  refreshes.value += 1;
}

/** Load a style sheet beside this module. */
export const loadStyle = (name) => new Promise((resolve) => {
  const sheet = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: new URL(name, import.meta.url).href });
  sheet.onload = resolve;
  sheet.onerror = resolve;
  document.head.append(sheet);
});

/** The server was unreachable, busy or failed, so its previous response stays visible. */
export const isTemporary = ({ status }) => !(status >= 400 && status < 500) || status === 429;

/**
 * Read something, again when a dependency changes or the page is refreshed.
 * @param {(signal: AbortSignal) => Promise<any>} read
 * @param {any[]} inputs a change discards the value
 * @returns {{value: any, problem: any, isLoading: boolean, reload: () => void, set: (value: any) => void}} `value` stays while it is read again, and
 *   after a temporary problem, which the page then shows as outdated
 */
export function useLoad(read, inputs = []) {
  const [state, setState] = useState({ value: undefined, problem: null, isLoading: true });
  const [attempt, setAttempt] = useState(0);
  const latest = useRef({ read, since: null, inputs: null });
  latest.current.read = read;
  const round = refreshes.value;
  const key = JSON.stringify(inputs);
  // Before the page is drawn, so that its parts appear together.
  useLayoutEffect(() => {
    const { current } = latest;
    const isSame = current.inputs === key;
    current.inputs = key;
    if (!isSame) current.since = null;
    const abort = new AbortController();
    let isOpen = true;
    const close = () => {
      if (isOpen) openLoads.value -= 1;
      isOpen = false;
    };
    openLoads.value += 1;
    setState((last) => ({ value: isSame ? last.value : undefined, problem: isSame ? last.problem : null, isLoading: true }));
    current.read(abort.signal).then((value) => {
      if (abort.signal.aborted) return;
      current.since = new Date();
      setState({ value, problem: null, isLoading: false });
    }, (problem) => {
      if (abort.signal.aborted) return;
      const isKept = current.since !== null && isTemporary(problem);
      if (isKept) outdated.value ??= { problem, since: current.since };
      else current.since = null;
      setState((last) => ({ value: isKept ? last.value : undefined, problem, isLoading: false }));
    }).finally(close);
    return () => {
      abort.abort();
      close();
    };
  }, [key, round, attempt]);
  return { ...state, reload: () => setAttempt((last) => last + 1), set: (value) => setState((last) => ({ ...last, value })) };
}

// A refresh shows again what is outdated.
effect(() => {
  refreshes.value;
  outdated.value = null;
});

/** Call `act` again and again while the page is visible. */
export function useEvery(ms, act) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/**
 * The rows of a part of a page, by `children`, and a button that reads more.
 * @param {object} list
 * @param {any} list.of the first response
 * @param {string} list.rows the field of the rows
 * @param {(after: any) => Promise<any>} list.read requests the response after a cursor
 */
export function Paged({ of: first, rows, read, children }) {
  const [state, setState] = useState({ first, all: first[rows], next: first.next });
  const [problem, setProblem] = useState(null);
  const [isLoading, setLoading] = useState(false);
  useLayoutEffect(() => setState({ first, all: first[rows], next: first.next }), [first]);
  const { all, next } = state.first === first ? state : { all: first[rows], next: first.next };
  const more = async () => {
    setLoading(true);
    setProblem(null);
    try {
      const response = await read(next);
      setState({ first, all: [...all, ...response[rows]], next: response.next });
    } catch (failed) {
      setProblem(failed);
    }
    setLoading(false);
  };
  return html`${children(all)}${problem && html`<${Failure} problem=${problem} retry=${more} />`}${next && html`<button type="button" aria-disabled=${isLoading ? 'true' : null} onClick=${isLoading ? null : more}>Load more</button>`}`;
}

/** The value of a load by `children`, or that it loads, or why it failed. A retry reads all that failed with it. */
export function Loaded({ of, children, skeleton = html`<${Skeleton} />` }) {
  if (of.value !== undefined) return children(of.value);
  return of.problem && !of.isLoading ? html`<${Failure} problem=${of.problem} retry=${refresh} />` : html`<${Late}>${skeleton}<//>`;
}

/** Content that appears only after a short time. */
export function Late({ children }) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SKELETON_MS);
    return () => clearTimeout(timer);
  }, []);
  return isLate ? children : html`<div aria-busy="true"></div>`;
}

/** Move the focus to the control of a page that wants it, unless another one has got it: then false. */
export function focusFirst(main) {
  const isFree = [main, main.querySelector('.pane'), document.body].includes(document.activeElement);
  if (isFree) main.querySelector('[autofocus]')?.focus();
  return isFree;
}

/** Parts that load separately and appear together, at their final places. */
export function Together({ children }) {
  const [isSettled, setSettled] = useState(false);
  const isDone = openLoads.value === 0;
  // The parts begin to load after they were drawn.
  useEffect(() => { if (isDone && openLoads.peek() === 0) setSettled(true); }, [isDone]);
  useLayoutEffect(() => { if (isSettled) focusFirst(document.getElementById('main')); }, [isSettled]);
  return html`${!isSettled && html`<${Late}><${Skeleton} rows="9" /><//>`}<div class=${isSettled ? null : 'pending'}>${children}</div>`;
}

export const Skeleton = ({ rows = 4 }) => html`<div class="skeleton" role="status" aria-busy="true"><span class="hidden">Loading</span>${Array.from({ length: rows }, (_, index) => html`<div key=${index}></div>`)}</div>`;

/** Icons of errors that a retry seldom changes, by status. */
const ERROR_ICONS = { 403: 'lock', 404: 'search' };
const HEADLINES = { 0: 'No connection', 403: 'Not permitted', 404: 'Not found', 429: 'Too many requests' };
const headlineOf = ({ status }) => HEADLINES[status] ?? (status >= 500 ? 'The server has a problem' : 'This did not work');

/** The URL of the list that this object would be in, of the same tenant. */
function listOfPage() {
  const kept = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => ['tenant', 'scope'].includes(name)));
  return `${location.pathname.replace(/\/[^/]*$/, '')}?${kept}`;
}

/** An error with the id of its request and a retry button, in the place of an empty list. `since` is the time of old data that stays below. */
export function Failure({ problem, retry, since }) {
  const icon = ERROR_ICONS[problem.status], act = since ? null : 'primary';
  return html`<div class=${since ? 'failure stale' : 'failure'} role="alert">
  ${!since && html`<span class=${`drawing${icon ? '' : ' bad'}`}><${Icon} name=${icon ?? 'failures'} /></span><p class="big"><b>${headlineOf(problem)}</b></p>`}<p class=${since ? null : 'muted'}>${since && html`<b>Shown as of <time dateTime=${since.toISOString()}>${secondOf(since)}</time>: </b>`}${problem.message}</p>
  ${problem.status === 404 && location.pathname.includes('/console/') && html`<a class="button primary" href=${listOfPage()}>Show the list</a>`}${retry && !icon && html`<button type="button" class=${act} onClick=${retry}>Retry</button>`}
  ${problem.requestId && html`<p class="terminal">Request <code>${problem.requestId}</code><${Copy} what="the id of the request" text=${problem.requestId} /></p>`}
</div>`;
}

/** The mark of a page whose data is outdated. */
export function Outdated() {
  const { problem, since, retry = refresh } = outdated.value ?? {};
  return problem ? html`<${Failure} problem=${problem} since=${since} retry=${retry} />` : null;
}
