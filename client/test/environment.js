/** A fake browser environment: clock, sockets, streams and network are controlled by the test. */

// Preload the lazy modules, so that tests do not wait for the disk.
import '../src/bellcast/tab-coordinator.js';
import '../src/bellcast/live-topics.js';
import '../src/bellcast/resilience.js';
import '../src/bellcast/transports/http.js';

class Timers {
  time = 1_000_000;
  #next = 1;
  #set = new Map();

  set = (run, after, limit = false) => {
    this.#set.set(this.#next, { run, at: this.time + after, limit });
    return this.#next++;
  };

  clear = (timer) => void this.#set.delete(timer);

  async advance(by) {
    const until = this.time + by;
    for (;;) {
      await settled();
      const due = [...this.#set].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#set.delete(due[0]);
      this.time = due[1].at;
      due[1].run();
    }
    this.time = until;
  }

  /** Pending timers, without the timeouts of requests, which belong to the browser. */
  get count() {
    return [...this.#set.values()].filter(({ limit }) => !limit).length;
  }
}

/** Run all pending microtasks; the import of a loaded module takes a few turns. */
export async function settled() {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

class FakeSocket {
  sent = [];
  closed = false;

  constructor(url) {
    this.url = new URL(url);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  receive(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  disconnect(code = 1006, reason = '') {
    this.onclose({ code, reason });
  }
}

class FakeSource extends EventTarget {
  closed = false;

  constructor(url, init) {
    super();
    this.url = new URL(url);
    this.withCredentials = init.withCredentials;
  }

  close() {
    this.closed = true;
  }

  receive({ type, ...fields }) {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(fields) }));
  }

  disconnect() {
    this.onerror();
  }
}

/** `respond(request)` returns the server's response: a body, `{status, ...problem}`, or a promise of either. */
export function fakeEnvironment(respond = () => ({})) {
  const timers = new Timers();
  const links = [];
  const requests = [];
  const keep = (Kind) =>
    function open(...args) {
      links.push(new Kind(...args));
      return links.at(-1);
    };
  const environment = {
    network: true,
    links,
    requests,
    timers,
    page: new EventTarget(),
    alertDelay: () => 40,
    locks: undefined,
    storage: () => undefined,
    WebSocket: keep(FakeSocket),
    EventSource: keep(FakeSource),
    setTimeout: timers.set,
    clearTimeout: timers.clear,
    timeout: (after) => {
      const end = new AbortController();
      timers.set(() => end.abort(new DOMException('', 'TimeoutError')), after, true);
      return end.signal;
    },
    now: () => timers.time,
    random: () => 0.5,
    online: () => environment.network,
    async fetch(url, { method = 'GET', headers = {}, body, ...rest }) {
      const request = { method, url: new URL(url), token: headers.authorization?.slice(7), ifNoneMatch: headers['if-none-match'], body: body && JSON.parse(body), ...rest };
      requests.push(request);
      const { signal } = rest;
      const cut = new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      const { status = 200, retryAfter, ...content } = await Promise.race([respond(request), cut]);
      const extra = retryAfter ? { headers: { 'retry-after': String(retryAfter) } } : {};
      return status === 204 || status === 304 ? new Response(null, { status }) : new Response(JSON.stringify(content), { status, ...extra });
    },
    /** The latest socket or stream. */
    get link() {
      return links.at(-1);
    },
    setNetwork(type) {
      environment.network = type === 'online';
      environment.page.dispatchEvent(new Event(type));
    },
  };
  return environment;
}

/** A notification as the server sends it; a higher number is newer. */
export const notification = (number, fields = {}) => ({
  id: `0190-${String(number).padStart(4, '0')}`, type: 'general', title: `Number ${number}`, body: null, priority: 'normal', action_url: null,
  action_text: null, icon: null, actor: null, data: {}, tags: [], group: null, created_at: '2026-01-01T00:00:00.000Z', expires_at: null,
  seen_at: null, read_at: null, archived_at: null, ...fields,
});

export const ready = (fields = {}) => ({
  type: 'ready', connection: 'c1', recipient: 'alice', heartbeat: 25, resumed: true, topics: [], refused: [], unread: 0, unseen: 0, position: 'p1', ...fields,
});
