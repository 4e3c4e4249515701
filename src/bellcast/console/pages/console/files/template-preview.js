/**
 * The preview of a template: its e-mail in a frame, on a phone, or as text, and the messages of the other channels on their devices.
 */
import { html, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { count, relativeTime } from './format.js';
import { loadStyle, useLoad } from './load.js';
import { Icon } from './parts.js';
import { sampleOf, unmasked } from './sample-data.js';
import { Segments } from './segments.js';
import { ROOT, request, withQuery } from './server.js';
import { me } from './session.js';
import { at, placeOf } from './template-model.js';
import { SendTest } from './template-test.js';

/** Pause after the last change. The next change cancels the request of a preview. */
const PREVIEW_MS = 75;

await loadStyle('template-editor.css');

/** The data of a preview: that of the last send until another one or the example is chosen. The server masks what identifies a person; invented values stand for it. The example has values of the schemas, else invented ones. */
export function usePreviewData({ path, values, isStored, mayRender }) {
  const [text, setData] = useState(null);
  const [chosen, setSample] = useState(undefined);
  const found = useLoad(async (signal) => {
    if (!mayRender) return { samples: [], declared: [] };
    const { samples } = await request('GET', path('/samples'), undefined, signal);
    return { samples, declared: isStored ? await request('GET', path('/variables'), undefined, signal) : [] };
  }, [path('/samples'), isStored]);
  const { samples, declared } = found.value ?? { samples: [], declared: [] };
  const sample = chosen === undefined ? samples[0]?.id ?? null : chosen;
  const shown = samples.find((one) => one.id === sample);
  const choose = (id) => { setData(null); setSample(id); };
  return { samples, shown, choose, setData, data: text ?? JSON.stringify(shown ? unmasked(shown.data) : sampleOf(values, declared), null, 2), isReady: !found.isLoading };
}

/** The rendered parts, soon after the last change, with the data of `usePreviewData`. */
export function usePreview({ path, values, shown: { data, isReady }, locale, recipient, brandChanges, mayRender }) {
  const [state, setState] = useState({ parts: null, problems: [], wanted: null });
  const isEmpty = !mayRender || Object.keys(values).length === 0; // a new template
  useEffect(() => {
    if (!isReady || isEmpty) return undefined;
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      let wanted;
      try {
        wanted = { values, data: JSON.parse(data || '{}'), ...(locale && { locale }), ...(recipient && { recipient }) };
      } catch {
        setState((last) => ({ ...last, problems: [{ field: 'data', message: 'The data is not valid JSON.' }] }));
        return;
      }
      try {
        setState({ parts: await request('POST', path('/preview'), wanted, abort.signal), problems: [], wanted });
      } catch (problem) {
        if (!abort.signal.aborted) setState((last) => ({ ...last, problems: problem.errors?.length ? problem.errors.map((one) => ({ ...one, field: one.field.replace(/^values\.?/, '') })) : [{ field: '', message: problem.message }] }));
      }
    }, state.wanted ? PREVIEW_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [values, data, isReady, locale, recipient, brandChanges]);
  return state;
}

const DEVICES = [['desktop', 'Desktop'], ['phone', 'Phone'], ['text', 'Text']];
/** The width of the page up to which the preview begins with a phone, and the bar has a menu. */
export const PHONE_PX = 640;
/** Pixels of a mail program's window, and of a phone with its frame. */
const DEVICE_WIDTHS = { desktop: 700, phone: 391 };

/** Shrink the first child of an element until its width fits. */
function useFittingWidth(place, width, inputs) {
  useLayoutEffect(() => {
    const { current } = place;
    if (!current || !width) return undefined;
    const fit = () => {
      const zoom = Math.min(1, current.clientWidth / width);
      current.firstElementChild.style.zoom = zoom;
      current.style.setProperty('--zoom', zoom);
    };
    fit();
    const observer = new ResizeObserver(fit);
    observer.observe(current);
    return () => observer.disconnect();
  }, inputs);
}

const SCHEMES = [['light', 'Light'], ['dark', 'Dark'], ['inverted', 'Inverted']];

/** Pixels of an e-mail around its text, of a line of it, and of the space below a paragraph; a line has about as many characters. */
const AROUND_TEXT = 170, LINE_PX = 26, SPACE_PX = 16, LINE = 66;

/** About the height in px of an e-mail on a desktop, by its text; null for one with pictures. Its frame runs no script that could measure it. */
const heightOf = ({ html: source, text }) => (source.includes('<img') ? null : AROUND_TEXT + text.split('\n-- \n')[0].trim().split(/\n+/).reduce((sum, one) => sum + Math.ceil(one.length / LINE) * LINE_PX + SPACE_PX, 0));

/** Whether the base layout has no dark card around an e-mail. */
const staysLight = (source) => source.includes('class="bc-card"') && !source.includes('.bc-card{');

/** A template as its recipients see it, in one channel, with the data that is `shown`. Operators that only read see the e-mail of the `published` template. `tools` begin its bar, `end` is at its end, and `more` is above its data; with them, the page has its own tests. */
export function Preview({ channel, locale, preview, problems: known, path, shown, isOpen, embedded, tenant, template, published = null, tools, more, end }) {
  const [device, setDevice] = useState(innerWidth <= PHONE_PX ? 'phone' : 'desktop');
  const [look, setLook] = useState({ scheme: 'light', images: 'off' });
  const { parts, wanted } = preview;
  const problems = [...new Map([...known, ...preview.problems].map((one) => [`${one.field} ${one.message}`, one])).values()];
  const part = parts?.[channel];
  const mail = channel === 'email' && published && (at(published, placeOf(locale, 'email')) ?? published.email);
  const form = useRef(null);
  const frame = useRef(null);
  useFittingWidth(frame, DEVICE_WIDTHS[device], [channel, device, Boolean(part?.html || mail), isOpen]);
  useEffect(() => { if (channel === 'email' && part?.html && isOpen) form.current?.submit(); }, [wanted, channel, device === 'text', isOpen, look]);
  if (!isOpen) return null;
  const isDark = look.scheme === 'dark' || look.scheme === 'inverted';
  const height = tools && channel === 'email' && device === 'desktop' && part?.html ? heightOf(part) : null;
  const images = channel === 'email' && device !== 'text' && html`<label class="toggle"><input type="checkbox" checked=${look.images === 'on'} onChange=${(event) => setLook({ ...look, images: event.currentTarget.checked ? 'on' : 'off' })} /> Load images</label>`;
  return html`<aside class="preview" aria-label="Preview">
    <div class="preview-bar"><h2>Preview</h2>${tools}${channel === 'email' && html`<${Segments} label="Device" options=${DEVICES.slice(0, published ? 2 : 3)} value=${device} choose=${setDevice} />
      ${device !== 'text' && html`<${Segments} label="Color scheme" options=${SCHEMES} value=${look.scheme} choose=${(scheme) => setLook({ ...look, scheme })} />`}`}
      ${end ? html`<div class="bar-end">${end}</div>` : !tools && images}</div>
    ${problems.length > 0 && html`<div role="status" aria-label="Problems"><ul class="problems">${problems.slice(0, 8).map((one) => html`<li key=${one.field + one.message}><${Icon} name="failures" /> <span>${one.field && html`<code>${one.field}</code> `}${one.message}</span></li>`)}</ul></div>`}
    ${parts?.missing?.length > 0 && html`<p class="note warn"><${Icon} name="failures" /> Without a value: ${parts.missing.join(', ')}. A send would be refused.</p>`}
    ${(parts?.warnings ?? []).map((one) => html`<p key=${one} class="note warn"><${Icon} name="failures" /> ${one}</p>`)}
    ${(mail?.html || mail?.blocks) && html`<div class=${`mail-preview on-${device}`}><div class="subject"><p class="muted">The published version, with example data.</p></div>
      <div class=${isDark ? 'mail-frame dark' : 'mail-frame'} ref=${frame}><iframe sandbox="" title="Preview of the e-mail" src=${ROOT + path('/html', { data: shown.data, locale: locale || null, scheme: look.scheme, images: look.images })}></iframe></div></div>`}
    ${published && !(mail?.html || mail?.blocks) && html`<p class="muted">Your role has a preview of published e-mails only.</p>`}
    ${part && channel === 'email' && html`<div class=${`mail-preview on-${device}`}>
      <div class="subject"><p><span class="muted">Subject</span> <b dir="auto">${part.subject}</b></p>${tools ? images : (!embedded || (embedded.may('test') && me.value.email)) && html`<${SendTest} path=${path} wanted=${wanted} isDisabled=${problems.length > 0} />`}</div>
      ${device === 'text' ? html`<pre tabIndex="0" dir="auto">${part.text}</pre>` : html`<div class=${`mail-frame ${isDark ? 'dark' : ''} ${height ? 'fits' : ''}`} ref=${frame} style=${height ? { '--height': `${height}px` } : null}><iframe sandbox="" title="Preview of the e-mail" name="template-preview"></iframe></div>
        <form method="post" action=${`${ROOT}${embedded ? withQuery('/embed/template-preview', { tenant, scheme: look.scheme, images: look.images }) : path('/html', { scheme: look.scheme, images: look.images })}`} target="template-preview" hidden ref=${form}>${embedded && html`<input type="hidden" name="token" value=${embedded.token()} /><input type="hidden" name="key" value=${template} />`}<input type="hidden" name="request" value=${JSON.stringify(wanted)} /></form>`}</div>`}
    ${part && channel === 'email' && look.scheme === 'dark' && device !== 'text' && staysLight(part.html ?? '') && html`<p class="muted">The content sets colors of its own, so its card stays light.</p>`}
    ${part && channel === 'inbox' && html`<div class="device bell" dir="auto"><p class="bell-head"><b>Notifications</b> <span class="tag">1 new</span></p><div class="bell-item"><span class="avatar tone-0"><${Icon} name="notifications" /></span><div><b>${part.title}</b>${part.body && html`<p>${part.body}</p>`}${(part.action_url || part.actions?.length > 0) && html`<p class="bell-actions">${part.actions?.length > 0 ? part.actions.map((one) => html`<span key=${one.id ?? one.label} class="bell-action">${one.label}</span>`) : html`<span class="bell-action" title=${part.action_url}>${part.action_text ?? 'Open'}</span>`}</p>`}<small class="muted">now</small></div><span class="dot" aria-hidden="true"></span></div></div>
      ${part.action_url && html`<p class="muted">Opens <code>${part.action_url}</code></p>`}`}
    ${part && channel === 'push' && html`<div class="device lock" dir="auto"><div class="push"><small>Your app <span>now</span></small><b>${part.title}</b>${part.body && html`<p>${part.body.slice(0, part.cut_at)}${part.body.length > part.cut_at && html`<span class="cut" title="Phones cut it here"> … </span>`}</p>`}</div></div>
      ${part.body?.length > part.cut_at && html`<p class="muted">Phones cut the text at about ${part.cut_at} of its ${part.body.length} characters.</p>`}`}
    ${part && (channel === 'sms' || channel === 'chat') && html`<div class="device phone-thread" dir="auto"><p class=${`bubble ${channel}`}>${part.text}</p></div>`}
    ${part && channel === 'sms' && html`<p class="muted">${count(part.characters, 'character')}, ${count(part.segments, 'segment')}${part.encoding !== 'GSM-7' && ', because of characters outside of the GSM alphabet'}.</p>`}
    ${parts && !part && problems.length === 0 && html`<p class="muted">This channel has no content.</p>`}
    ${(parts || problems.length > 0) && html`<${PreviewData} ...${shown} more=${more} />`}</aside>`;
}

/** Where the data comes from, and the data itself, which can be changed. */
function PreviewData({ samples, shown, data, setData, choose, more }) {
  return html`<details class="data"><summary>Preview data: <span class="muted">${shown ? `the send to ${shown.recipient}, ${relativeTime(shown.at)}` : 'an example'}</span></summary><p class="muted">${shown ? 'Names and addresses are invented.' : 'All values are invented.'}</p>${more}
    ${samples.length > 0 && html`<div class="field"><label for="preview-sample">Data</label><select id="preview-sample" value=${shown?.id ?? ''} onChange=${(event) => choose(event.currentTarget.value || null)}><option value="">An example</option>${samples.map((one) => html`<option key=${one.id} value=${one.id}>Sent to ${one.recipient}, ${relativeTime(one.at)}</option>`)}</select></div>`}
    <div class="field code"><label class="hidden" for="preview-data">Data as JSON</label><textarea id="preview-data" rows="10" spellcheck=${false} value=${data} onInput=${(event) => setData(event.currentTarget.value)}></textarea></div></details>`;
}
