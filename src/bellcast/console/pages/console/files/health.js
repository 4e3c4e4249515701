/**
 * Health: readiness with its reason, the load over time, the live nodes, and the doctor with its findings as they arrive.
 */
import { Charts, LOAD } from './charts.js';
import { html, useEffect, useRef, useState } from './html.js';
import { count, number } from './format.js';
import { Failure, Loaded, Together, loadStyle, refresh, refreshes, useEvery, useLoad } from './load.js';
import './object-parts.js'; // the style of rows of two lines
import { readiness } from './overview.js';
import { Copy, Heading, Icon, State, Tag, Time } from './parts.js';
import { CONTENT } from './roles.js';
import { Rows } from './rows.js';
import { lines, readAll, withQuery } from './server.js';
import { session } from './storage.js';

await loadStyle('health.css');

/** Nodes report themselves every 2 s. */
const REFRESH_MS = 5000;
const KINDS = { problem: 'bad', warning: 'warn', ok: 'ok' };

/** Enough of a node's id to recognise it. The rest is in its tooltip, and copied with it. */
const ID_LENGTH = 8;

const nameOf = (one) => `${one.host}:${one.pid}`;

const columns = (page, isAlone) => [
  { name: 'Node', kind: 'title', of: nameOf, text: (one) => html`<span class="node-id"><code title=${one.id}>${one.id.slice(0, ID_LENGTH)}</code><${Copy} what=${`the id of ${nameOf(one)}`} text=${one.id} />${one.is_self && !isAlone && html`<${Tag}>this one<//>`}</span>` },
  { name: 'Role', width: '6rem', of: (one) => (one.role === 'worker' || one.runs_jobs ? one.role : `${one.role}, no jobs`) }, { name: 'Version', of: (one) => (one.commit ? `${one.version} (${one.commit})` : one.version), width: '8rem' },
  { name: 'Connections', kind: 'number', width: '5.5rem', of: (one) => (one.connections > 0 ? html`<a href=${withQuery(page.url('/connections'), { node: one.id })}>${number(one.connections)}</a>` : '0') },
  { name: 'CPU', kind: 'number', of: (one) => `${Math.round(one.cpu * 100)} %`, width: '3rem' }, { name: 'Memory', kind: 'number', width: '5rem', of: (one) => one.memory !== null && `${number(Math.round(one.memory / 1e6))} MB` },
  { name: 'Queue age', kind: 'number', width: '6rem', of: (one) => one.queue_age !== null && `${number(one.queue_age / 1000)} s` }, { name: 'Settings', of: (one) => `revision ${one.settings_revision}`, width: '5.5rem' }, { name: 'Started', kind: 'time', width: '5rem', of: (one) => one.started_at },
];

export function Health({ page }) {
  const ready = useLoad(readiness), nodes = useLoad((signal) => readAll((after) => withQuery('/v1/nodes', { after }), 'nodes', signal));
  useEvery(REFRESH_MS, nodes.reload);
  return html`<${Heading} title="Health" note=${ready.value === null && html`<${State} of="Ready" kind="ok" />`} /><${Together}>
    <${Loaded} of=${ready}>${(reason) => reason && html`<section class="verdict bad" aria-label="Readiness"><${Icon} name="bad" /><div><h2>Not ready</h2><p class="muted">${reason}</p></div></section>`}<//>
    <${Charts} page=${page} shown=${LOAD} connections=${nodes.value?.reduce((sum, one) => sum + one.connections, 0)} />
    <section class="resource nodes"><h2>Nodes</h2><div class="list"><${Loaded} of=${nodes}>${(all) => html`<${Rows} label="Nodes" isTall columns=${columns(page, all.length === 1)} chunks=${[all]} isOpen=${() => false} />`}<//></div></section>
    ${page.may(CONTENT) && html`<${Doctor} />`}<//>`;
}

/** The name of the doctor's last result, which stays in the tab, and for how long the page opens without a new one. */
const LAST = 'doctor', FRESH_MS = 300_000;

/** The doctor: shows problems and warnings as they arrive, and the checks that passed folded below them once all have arrived, so that nothing moves. */
function Doctor() {
  const [state, setState] = useState(() => ({ ...JSON.parse(session.getItem(LAST)) ?? { findings: null }, isRunning: false, problem: null }));
  const abort = useRef(null);
  const run = async () => {
    const findings = [];
    abort.current = new AbortController();
    setState({ findings, isRunning: true, problem: null });
    try {
      await lines('POST', '/v1/doctor', abort.current.signal, (one) => {
        findings.push(one);
        setState({ findings: [...findings], isRunning: true, problem: null });
      });
      const last = { findings, at: new Date().toISOString() };
      session.setItem(LAST, JSON.stringify(last));
      setState({ ...last, isRunning: false, problem: null });
    } catch (problem) {
      if (!abort.current.signal.aborted) setState({ findings, isRunning: false, problem });
    }
  };
  useEffect(() => {
    if (!(Date.now() - Date.parse(state.at) < FRESH_MS)) run();
    return () => abort.current?.abort();
  }, []);
  const { findings, at, isRunning, problem } = state;
  useEffect(() => { if (problem) run(); }, [refreshes.value]);
  const [passed, warnings, problems] = ['ok', 'warning', 'problem'].map((kind) => findings?.filter((one) => one.state === kind) ?? []);
  const failed = findings?.filter((one) => one.state !== 'ok') ?? [], isDone = findings && !isRunning && !problem;
  const result = [problems.length > 0 && count(problems.length, 'problem'), warnings.length > 0 && count(warnings.length, 'warning')].filter(Boolean).join(' · ') || 'No problem found';
  return html`<section class="panel doctor"><header><h2>Doctor</h2><p class="muted" role="status">${isRunning && 'Checking…'}${isDone && html`<${State} of=${result} kind=${problems.length > 0 ? 'bad' : warnings.length > 0 ? 'warn' : 'ok'} /> · <${Time} at=${at} />`}</p>
      <button type="button" aria-disabled=${isRunning ? 'true' : null} onClick=${isRunning ? null : run}>Run the doctor</button></header>
    ${failed.length > 0 && html`<${Findings} of=${failed} />`}${isDone && passed.length > 0 && html`<details class="passed"><summary>${count(passed.length, 'check')} passed</summary><${Findings} of=${passed} /></details>`}
    ${problem && html`<${Failure} problem=${problem} retry=${refresh} />`}</section>`;
}

const Findings = ({ of }) => html`<ul class="findings">${of.map((one, index) => html`<li key=${index}>${one.state !== 'ok' && html`<${State} of=${one.state} kind=${KINDS[one.state]} />`}<b>${one.check}</b><div><p>${one.what}</p>${one.fix && html`<p class="fix"><span aria-hidden="true">→ </span>${one.fix}</p>`}</div></li>`)}</ul>`;
