/**
 * The schema of the data of a type: its fields as a form, a proposal from the last sends, and what the last sends would fail.
 */
import { Form } from './form.js';
import { html, useRef, useState } from './html.js';
import { apiPath } from './definition.js';
import { count } from './format.js';
import { refresh } from './load.js';
import { Card, Icon } from './parts.js';
import { BUILDERS } from './roles.js';
import { SchemaForm, SchemaTable } from './schema-fields.js';
import { get, getTagged, putYaml, withQuery } from './server.js';
import { valuesOf } from './yaml.js';

const CHECKS = { refuse: 'refuse the send', warn: 'accept the send, and warn in the live feed' };

/** @param {{page: any, kind: any, one: any, tag: string}} of `one` is the type as it was read, with its ETag `tag` */
export function DataSchema({ page, kind, one, tag }) {
  const [draft, setDraft] = useState(null);
  const [seen, setSeen] = useState(0);
  const [problem, setProblem] = useState(null);
  const mayEdit = page.may(BUILDERS);
  const infer = async () => {
    setProblem(null);
    try {
      const found = await get(apiPath(page, kind, '/inferred-schema'));
      setSeen(found.seen);
      setDraft(found.schema);
    } catch (failed) {
      setProblem(failed.status === 404 ? 'No send of this type is stored yet: there is nothing to infer a schema from.' : failed.message);
    }
  };
  const close = () => { setDraft(null); setSeen(0); setProblem(null); };
  const start = () => { setSeen(0); setDraft(one.data ?? { type: 'object', properties: {} }); };
  if (draft) return html`<${Card} title="Data"><${Editor} key=${seen} page=${page} kind=${kind} read=${{ value: one, tag }} schema=${draft} seen=${seen} close=${close} /><//>`;
  return html`<${Card} title="Data">
    ${one.data ? html`<p class="muted">Data that does not fit: ${CHECKS[one.data_check]}. The schema also applies to workflows of this type without a schema.</p><${SchemaTable} schema=${one.data} />` : html`<p class="muted">Sends of this type may have any data. A schema refuses wrong data before it reaches a recipient, and lists the variables of templates.</p>`}
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
    ${mayEdit && html`<div class="choice">${one.data && html`<button type="button" onClick=${start}>Edit fields</button>`}<button type="button" onClick=${infer}>Infer from the last sends</button>${!one.data && html`<button type="button" onClick=${start}>Add fields</button>`}</div>`}<//>`;
}

function Editor({ page, kind, read, schema: proposed, seen, close }) {
  const [schema, setSchema] = useState(proposed);
  const [check, setCheck] = useState(read.value.data_check ?? 'refuse');
  const [effects, setEffects] = useState(null);
  // The type that these entries change. Its other fields are sent as they were read.
  const base = useRef(read);
  const put = async (_, _form, isMine) => {
    if (isMine) base.current = await getTagged(apiPath(page, kind));
    const body = JSON.stringify({ ...valuesOf(base.current.value), data: schema, data_check: check });
    const send = (dryRun) => putYaml(withQuery(`/v1${kind.path}/${encodeURIComponent(page.key)}`, { tenant: page.query.get('tenant'), dry_run: dryRun }), body, { 'if-match': base.current.tag });
    const found = effects ?? (await send(true)).effects;
    if (effects === null && found.length > 0) {
      setEffects(found);
      return false;
    }
    await send(null);
    close();
    refresh();
    return true;
  };
  return html`<${Form} isGuarded class="schema" button=${effects === null ? 'Save schema' : 'Save anyway'} send=${put} more=${html`<button type="button" onClick=${close}>Cancel</button>`}>
    ${seen > 0 && html`<p class="notice">Proposed from the last ${count(seen, 'send')}: their shapes, not their values.</p>`}
    <${SchemaForm} schema=${schema} change=${(next) => { setEffects(null); setSchema(next); }} />
    <div class="field"><label for="data-check">Data that does not fit</label><select id="data-check" value=${check} onChange=${(event) => { setEffects(null); setCheck(event.target.value); }}>${Object.entries(CHECKS).map(([name, words]) => html`<option key=${name} value=${name}>${words}</option>`)}</select></div>
    <div role="status" data-effects>${effects?.map((effect) => html`<p key=${effect.code} class="notice warn"><${Icon} name="warn" /> ${effect.text}</p>`)}</div><//>`;
}
