/**
 * Settings: values with their source, the history, the Pusher apps, and the tests of the connections.
 */
import { confirmed, field, h, prose, time } from './dom.js';
import { empty, heading, load, pagedList } from './list.js';
import { OWNERS, card, count } from './page.js';
import { mailTest, pusherApps, pusherTest } from './pusher-apps.js';
import { get, request, withQuery } from './server.js';

const GROUPS = { access: 'Access', pusher: 'Pusher', server: 'Calls and log', store: 'Retention', channels: 'Messages', limits: 'Limits' };
const SOURCES = { option: 'command line', environment: 'environment', file: 'file', database: 'set here', default: 'default' };

export function settings(page) {
  const place = h('div');
  const past = h('div');
  load(place, page.signal, (signal) => get('/v1/settings', signal), (document) => {
    load(past, page.signal, (signal) => readHistory('', signal), (response) => history(page, response));
    // The cards below the settings appear together with them, so that the page does not jump.
    return [form(page, document, () => {
      page.reload();
    }), pusherApps(page), pusherTest(page), mailTest(page), card('History', past)];
  });
  return [heading('Settings', h('span', { class: 'muted' }, 'Changes take effect on all servers within seconds.')), place];
}

function form(page, { revision, settings: all }, done) {
  const error = h('p', { class: 'error', role: 'alert' });
  const save = h('button', { type: 'submit', class: 'primary' }, 'Save');
  const discard = h('button', { type: 'button', onclick: done }, 'Discard');
  const bar = h('div', { class: 'save', hidden: true }, save, discard, error);
  const open = all.filter((one) => mayChange(page, one));
  const cards = Object.entries(GROUPS).map(([group, title]) => card(title, all.filter((one) => one.group === group).map((one) => row(page, one))));
  const find = field('Find a setting', { name: 'find', type: 'search', autocomplete: 'off', oninput: ({ target }) => {
    const text = target.value.trim().toLowerCase();
    for (const place of cards) {
      const rows = [...place.querySelectorAll('.setting')];
      for (const one of rows) one.hidden = !one.textContent.toLowerCase().includes(text);
      place.hidden = rows.every((one) => one.hidden);
    }
  } });
  return h('form', { class: 'settings', oninput: ({ currentTarget }) => {
    const { set, reset } = changesOf(open, new FormData(currentTarget));
    const changed = Object.keys(set).length + reset.length;
    bar.hidden = changed === 0;
    save.textContent = `Save ${count(changed, 'change')}`;
  }, onsubmit: async (event) => {
    event.preventDefault();
    save.disabled = true;
    error.textContent = '';
    try {
      await request('PATCH', '/v1/settings', { revision, ...changesOf(open, new FormData(event.target)) });
      done();
    } catch (problem) {
      error.textContent = problem.status === 409 ? 'The settings have changed in the meantime. Reload the page to see them.' : problem.message;
    }
    save.disabled = false;
  } }, find, cards, bar);
}

const mayChange = (page, one) => !one.locked && (!one.is_owner_only || page.may(OWNERS));

/** The entered values that differ from the current ones. */
function changesOf(open, entered) {
  const set = {};
  const reset = [];
  for (const one of open) {
    const value = entered.get(one.name).trim();
    if (value === one.value) continue;
    if (value === one.default) reset.push(one.name);
    else set[one.name] = value;
  }
  return { set, reset };
}

function row(page, one) {
  const id = `setting-${one.name}`;
  const choices = one.name === 'access_log' ? ['errors', 'all', 'off'] : [['on', 'off'], ['allow', 'deny']].find((both) => both.includes(one.default));
  const attributes = { id, name: one.name, disabled: !mayChange(page, one), 'aria-describedby': `${id}-hint` };
  const input = choices
    ? h('select', attributes, choices.map((value) => h('option', { value, selected: value === one.value }, value)))
    : h('input', { ...attributes, value: one.value, title: one.locked && one.value, autocomplete: 'off', spellcheck: 'false', placeholder: one.default });
  return h('div', { class: 'setting' }, h('label', { for: id }, h('code', {}, one.name), ' ', h('span', { class: 'tag' }, SOURCES[one.source]), one.is_owner_only && [' ', h('span', { class: 'tag' }, 'owners only')]), input,
    h('small', { class: 'muted', id: `${id}-hint` }, one.locked ? `${one.locked_by} sets this and takes precedence. ` : '', prose(one.description), choices ? '' : expected(one), ' Default: ', one.default ? h('code', {}, one.default) : 'none', '.'));
}

/** The expected form of a value, unless its name makes it clear. */
function expected({ expects }) {
  if (/^a (text|whole number)/.test(expects)) return '';
  return expects.includes('duration') ? ` Expects ${expects}; a number alone is in seconds.` : ` Expects ${expects}.`;
}

const readHistory = (after, signal) => get(withQuery('/v1/settings/history', { after }), signal);

function history(page, response) {
  if (response.revisions.length === 0) return empty('Nothing has been changed yet: the servers use their options, the environment and the defaults.');
  const newest = response.revisions[0].revision;
  return pagedList(page, h('ol', { class: 'timeline' }), response, (after) => readHistory(after, page.signal), ({ revisions }) => revisions.map((one) => h('li', {},
    h('div', {}, h('b', {}, `Revision ${one.revision}`), ` by ${one.by} `, time(one.at), ' ',
      one.revision !== newest && confirmed(`Restore revision ${one.revision}`, 'Restore', async () => {
        await request('POST', '/v1/settings/rollback', { revision: newest, to: one.revision });
        page.reload();
      })),
    one.changes.map((change) => h('p', {}, h('code', {}, change.name), ': ', change.before ?? 'not set', ' → ', change.after ?? 'not set')))));
}
