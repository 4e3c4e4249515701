/**
 * The HTML that the server makes of an e-mail's blocks, one element a line. It can be kept instead of the blocks, which do not return.
 */
import { html, useEffect, useMemo, useState } from './html.js';
import { Dialog } from './draft-parts.js';
import { count } from './format.js';
import { Copy } from './parts.js';
import { at, languageName, placeOf } from './template-model.js';

/** Bytes of an e-mail that Gmail shows: it cuts the rest. */
const MAX_SHOWN_BYTES = 102_000;
/** Maximum characters of an element that has one line. */
const SHORT = 90;
/** Levels with an indent of their own: the lines below keep room for their text. */
const MAX_DEPTH = 8;
const TOKEN = /<!--[\s\S]*?-->|\{%[\s\S]*?%\}|\{\{[\s\S]*?\}\}|<\/?[a-z](?:"[^"]*"|'[^']*'|[^>"'])*>|[^<{]+|[<{]/gi;
const INLINE = /^<\/?(?:a|b|strong|em|i|u|code|span|br|img|font|small|sub|sup)\b/i;
const VOID = /^<(?:meta|link|hr|input|col)\b|\/>$/i;
const OUTLOOK = /^<!--\[if/;

/** The lines of an HTML text, as [depth, text]; parts for Outlook only are left out unless wanted. */
export function linesOf(source, hasOutlook) {
  const lines = [];
  let [depth, inline] = [0, ''];
  const end = () => {
    const text = inline.replace(/\s+/g, ' ').trim();
    if (text) lines.push([depth, text]);
    inline = '';
  };
  const close = (token) => {
    end();
    depth = Math.max(0, depth - 1);
    const [own, content] = lines.slice(-2);
    if (content?.[0] === depth + 1 && own?.[0] === depth && own[1].startsWith('<') && !own[1].includes('</') && content[1].length < SHORT) lines.splice(-2, 2, [depth, own[1] + content[1] + token]);
    else lines.push([depth, token]);
  };
  for (const token of source.match(TOKEN) ?? []) {
    if (OUTLOOK.test(token) && !hasOutlook) continue;
    const tag = /^\{%-?\s*(\w+)/.exec(token)?.[1];
    if (tag ? /^(?:end)?filter$/.test(tag) : !/^<[!/a-z]/i.test(token) || INLINE.test(token)) inline += token;
    else if (tag?.startsWith('end') || token.startsWith('</')) close(token);
    else {
      end();
      const isElse = tag === 'else' || tag === 'elif';
      lines.push([depth - (isElse ? 1 : 0), token]);
      if (!isElse && (['if', 'for'].includes(tag) || (!tag && !token.startsWith('<!') && !VOID.test(token)))) depth += 1;
    }
  }
  end();
  return lines;
}

/** A line in five tones: tags, the names and the values of their attributes, variables, and texts. */
function painted(text) {
  let isInTag = false, isQuoted = false;
  return text.split(/(\{\{.*?\}\}|\{%.*?%\}|<\/?[a-z][\w-]*|\/?>(?=[^"]*(?:"[^"]*"[^"]*)*$))/i).map((part, index) => {
    if (index % 2 === 0) return !isInTag ? part : part.split('"').map((piece, place) => {
      if (place > 0) isQuoted = !isQuoted;
      return html`${place > 0 && '"'}<span class=${isQuoted ? 'quoted' : 'attribute'}>${piece}</span>`;
    });
    if (!part.startsWith('{')) isInTag = part.startsWith('<');
    return html`<span class=${part.startsWith('{') ? 'variable' : 'element'}>${part}</span>`;
  });
}

export function Compiled({ draft, locale, change, done }) {
  const [isAsking, setAsking] = useState(false);
  const [hasOutlook, setOutlook] = useState(false);
  const place = placeOf(locale, 'email');
  const blocks = at(draft.values.value, [...place, 'blocks']);
  const source = at(draft.checked.value, [...place, 'compiled']);
  const lines = useMemo(() => linesOf(source ?? '', hasOutlook), [source, hasOutlook]);
  useEffect(() => { if (blocks && !source) draft.check(); }, []);
  if (!blocks) return html`<div class="editor-yaml"><p class="muted">This e-mail is not made of blocks.</p></div>`;
  const convert = () => {
    const { blocks: _, ...mail } = at(draft.values.value, place);
    change(place, { ...mail, html: source });
    done();
  };
  const kilobytes = (new TextEncoder().encode(source ?? '').length / 1000).toFixed(1);
  return html`<div class="editor-yaml html-view"><div class="html-bar"><p class="muted">Made from the blocks${locale && ` in ${languageName(locale)}`} · <span title="Gmail cuts the rest"><b>${kilobytes}</b> of ${MAX_SHOWN_BYTES / 1000} kB</span></p>
      <label class="toggle"><input type="checkbox" checked=${hasOutlook} onChange=${({ currentTarget }) => setOutlook(currentTarget.checked)} /> Outlook parts</label><${Copy} what="the HTML" text=${source ?? ''} />
      <button type="button" disabled=${!source} onClick=${() => setAsking(true)}>Edit as HTML…</button></div>
    <pre class="compiled" tabIndex="0" aria-label="HTML of the blocks"><code>${lines.map(([depth, text], index) => html`<span key=${index} class="html-line" style=${{ paddingLeft: `${2 + 2 * Math.min(depth, MAX_DEPTH)}ch`, textIndent: '-2ch' }}>${painted(text)}${'\n'}</span>`)}</code></pre>
    ${isAsking && html`<${Dialog} label="Edit as HTML?" close=${() => setAsking(false)}><p>The ${count(blocks.length, 'block')} of this e-mail${locale && ` in ${languageName(locale)}`} become ${kilobytes} kB of HTML.</p>
      <ul class="lost"><li>Blocks can no longer be added, moved or dragged here.</li><li>Conditions and lists of blocks become tags such as <code>${'{% if %}'}</code>.</li><li>HTML does not become blocks again, except by undo. Earlier versions keep their blocks.</li></ul>
      <div class="dialog-tools"><button type="button" onClick=${() => setAsking(false)}>Keep the blocks</button><button type="button" class="primary" onClick=${convert}>Edit as HTML</button></div><//>`}</div>`;
}
