/** The page `/check`: runs the check for this origin, and shows the line for other pages. */
import { copyText } from '../bellcast/check.js';

const root = new URL('..', import.meta.url);
const source = new URL('bellcast/check.js', root).href;
const text = `(await import('${source}')).check()`;
document.getElementById('line').textContent = text;
document.getElementById('copy').addEventListener('click', ({ target }) => {
  target.textContent = copyText(text) ? 'Copied' : 'Not copied';
});

const steps = document.getElementById('steps');
const form = document.querySelector('form');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  const fields = new FormData(form);
  button.disabled = true;
  steps.replaceChildren(line('', 'Checking…'));
  const { check, parseTopics } = await import(source);
  const report = await check({ server: root.href, token: String(fields.get('token')).trim(), topics: parseTopics(String(fields.get('topics'))), show: false });
  steps.replaceChildren(...report.steps.map(item));
  button.disabled = false;
});

function item(one) {
  const element = document.createElement('li');
  element.className = one.state;
  const name = line('b', one.step), sign = line('', `${one.state}: `);
  sign.className = 'sign';
  name.prepend(sign);
  element.append(name, line('', ` ${one.detail}`));
  if (one.fix) element.append(document.createElement('br'), line('i', one.fix));
  return element;
}

function line(tag, text) {
  const element = document.createElement(tag || 'span');
  element.textContent = text;
  return element;
}
