/**
 * A template as a small picture: the blocks of its e-mail as bars on a sheet, or its other messages. It is drawn from the values, without their texts.
 */
import { html } from './html.js';
import { loadStyle } from './load.js';

await loadStyle('template-picture.css');

/** Characters of a line, lines of a text, blocks on a sheet, and characters of a text and of HTML that are read. */
const LINE = 42, LEAST = 0.15, MAX_LINES = 5, MAX_BLOCKS = 6, MAX_TEXT = 2000, MAX_HTML = 20_000;
/** A text of two lines. */
const FILLING = 'a'.repeat(LINE * 1.6);
/** Messages without an e-mail, from above. */
const MESSAGES = ['inbox', 'push', 'chat', 'sms'];

/** What is read of a text. No expression here reaches beyond the next beginning of what it finds: its time grows with the text only. */
const readable = (text) => text.replace(/\{\{[^{}]*\}\}/g, 'a variable').replace(/<[^<>]*>|\{%[^{}]*%\}|\*\*/g, '').trim();

/** A text as bars that are as long as its lines; a variable is a word. Bold lines are darker. */
function Lines({ of: text }) {
  const lines = text.slice(0, MAX_TEXT).split(/\n|<br\b[^<>]*>/i).flatMap((line) => {
    const { length } = readable(line), full = Math.ceil(length / LINE);
    return Array.from({ length: full }, (_, index) => ({ isBold: /^\s*(\*\*|<(b|strong)>)/.test(line), part: Math.min(1, length / LINE - index) }));
  });
  return html`<span class="lines">${lines.slice(0, MAX_LINES).map(({ isBold, part }, index) => html`<i key=${index} class=${isBold ? 'of-text bold' : 'of-text'} style=${{ width: `${Math.max(LEAST, part) * 100}%` }}></i>`)}</span>`;
}

/** Where a block of HTML begins, or a paragraph ends. A link with a background is a button, others are text. */
const BLOCK = /<(?=\/?p\b|h[1-6]\b|img\b|hr\b|a\b[^<>]*background)/i;
const TYPES = { p: 'text', img: 'image', hr: 'divider', a: 'button' };

/** The elements of HTML as blocks, each until the next begins: a paragraph needs no end. What follows an end is not drawn, nor are empty paragraphs. */
function blocksOf(source) {
  return source.split(BLOCK).slice(1).filter((part) => !part.startsWith('/')).map((part) => {
    const [tag] = /^\w+/.exec(part);
    return { type: TYPES[tag.toLowerCase()] ?? 'heading', text: part.slice(part.indexOf('>') + 1) };
  }).filter(({ type, text }) => type !== 'text' || readable(text) !== '');
}

function Block({ of: { type, text, align, blocks, columns } }) {
  if (type === 'columns') return html`<span class="halves">${columns.map((one, index) => html`<span key=${index}><${Blocks} of=${one.blocks} /></span>`)}</span>`;
  if (type === 'list') return html`<${Blocks} of=${[...blocks, ...blocks]} />`;
  if (type === 'text' || type === 'html' || type === 'content') return html`<span class=${align === 'right' ? 'right' : null}><${Lines} of=${type === 'text' ? text ?? '' : FILLING} /></span>`;
  return html`<i class=${`of-${type}`}></i>`;
}

const Blocks = ({ of }) => of.slice(0, MAX_BLOCKS).map((one, index) => html`<${Block} key=${index} of=${one} />`);

/** @param {{of: any, tone?: number}} template `tone` is the color of its headings and buttons */
export function Picture({ of: { email, ...parts }, tone = 0 }) {
  const source = (email?.html ?? '').slice(0, MAX_HTML), blocks = email && (email.blocks ?? blocksOf(source));
  const plain = () => (email.text ?? source).slice(0, MAX_HTML).trim().split(/\n\s*\n/).map((text) => ({ type: 'text', text }));
  return html`<span class=${`sheet tone-${tone}${email ? '' : ' messages'}`} aria-hidden="true">${email ? html`<i class="of-brand"></i><${Blocks} of=${blocks.length > 0 ? blocks : plain()} />`
    : MESSAGES.filter((one) => parts[one]).map((one) => html`<span key=${one} class=${one}><${Lines} of=${one === 'inbox' ? FILLING : FILLING.slice(0, LINE)} /></span>`)}</span>`;
}
