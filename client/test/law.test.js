/** Invariant: snapshot + events == fresh snapshot, with the server's fixtures and random histories. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parse } from '../src/bellcast/events.js';
import * as inbox from '../src/bellcast/inbox-reducer.js';
import { notification } from './environment.js';

const FIXTURES = new URL('../../tests/fixtures/law/', import.meta.url);

/** Rows beyond the page of the fresh snapshot are not compared. */
function assertLaw(state, expect) {
  const rows = inbox.visible(state);
  const shown = expect.next || state.next ? rows.slice(0, expect.notifications.length) : rows;
  const fresh = state.next ? expect.notifications.slice(0, rows.length) : expect.notifications;
  assert.deepEqual(shown, fresh);
  assert.deepEqual(
    { unread: state.unread, unseen: state.unseen, position: state.position },
    { unread: expect.unread, unseen: expect.unseen, position: expect.position },
  );
}

function fixtures() {
  try {
    return readdirSync(FIXTURES).filter((name) => name.endsWith('.json'));
  } catch (error) {
    if (error.code === 'ENOENT') return []; // a client outside of the repository
    throw error;
  }
}

for (const name of fixtures()) {
  const content = JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8'));
  for (const law of Array.isArray(content) ? content : [content]) {
    test(`fixture: ${law.name}`, () => {
      const events = law.events.map((event) => parse(JSON.stringify(event)) ?? assert.fail(`not understood: ${event.type}`));
      const state = events.reduce(inbox.apply, inbox.snapshot(law.snapshot));
      const refetch = events.some(({ type, changed }) => type === 'reset' || changed === 'unarchived');
      if (state.stale) assert.ok(refetch, 'stale without a reason');
      else assertLaw(state, law.expect);
    });
  }
}

/** A minimal server: its rows, and the frames it sends when they change. */
class Life {
  rows = [];
  revision = 0;
  #created = 0;
  #random;

  constructor(seed) {
    this.#random = () => ((seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31);
  }

  get page() {
    const notifications = this.rows.filter((row) => !row.archived_at);
    return { notifications, next: null, ...this.counts };
  }

  get counts() {
    const open = this.rows.filter((row) => !row.archived_at);
    const left = (mark) => open.filter((row) => !row[mark]).length;
    return { unread: left('read_at'), unseen: left('seen_at'), position: String(this.revision) };
  }

  /** Apply a random change and return its frame. */
  step() {
    const kinds = [() => this.add(), () => this.add(), () => this.edit(), () => this.remove(), () => this.mark(), () => this.mark()];
    const event = kinds[Math.floor(this.#random() * kinds.length)]();
    return event && { ...event, ...this.counts };
  }

  pick() {
    return this.rows[Math.floor(this.#random() * this.rows.length)];
  }

  add() {
    // One in three was created earlier and arrives late, as announcements do.
    const number = ++this.#created * 10 - (this.#random() < 0.33 ? 25 : 0);
    const type = this.#random() < 0.5 ? 'general' : 'booking';
    const added = notification(Math.max(1, number), { type });
    if (this.rows.some(({ id }) => id === added.id)) return null;
    this.revision++;
    this.rows = [...this.rows, added].sort((a, b) => (a.id < b.id ? 1 : -1));
    return { type: 'notification', notification: added };
  }

  edit() {
    const row = this.pick();
    if (!row) return null;
    const edited = { ...row, title: `Edited ${++this.revision}` };
    this.rows = this.rows.map((each) => (each === row ? edited : each));
    return { type: 'notification-update', notification: edited };
  }

  remove() {
    const row = this.pick();
    if (!row) return null;
    this.revision++;
    this.rows = this.rows.filter((each) => each !== row);
    return { type: 'notification-delete', id: row.id };
  }

  mark() {
    const changed = ['seen', 'read', 'unread', 'archived', 'deleted'][Math.floor(this.#random() * 5)];
    const whole = this.#random() < 0.2;
    const of = this.#random() < 0.5 ? { type: 'booking' } : undefined;
    const ids = [this.pick(), this.pick()].flatMap((row) => (row ? [row.id] : []));
    const at = `2026-03-01T00:00:00.${String(++this.revision).padStart(3, '0')}Z`;
    const meant = (row) => (whole ? !row.archived_at && (!of || row.type === of.type) : ids.includes(row.id));
    this.rows = this.rows.flatMap((row) => (meant(row) ? this.marked(row, changed, at) : [row]));
    return { type: 'counts', changed, ids: whole ? 'all' : ids, ...(whole && of && { of }), at };
  }

  marked(row, changed, at) {
    if (changed === 'deleted') return [];
    if (changed === 'unread') return [{ ...row, read_at: null }];
    if (changed === 'archived') return [{ ...row, archived_at: row.archived_at ?? at }];
    return [{ ...row, seen_at: row.seen_at ?? at, read_at: changed === 'read' ? row.read_at ?? at : row.read_at }];
  }
}

for (let seed = 1; seed <= 40; seed++) {
  test(`a random history of seed ${seed} leads to the fresh snapshot`, () => {
    const life = new Life(seed);
    for (let i = 0; i < 10; i++) life.step();
    let state = inbox.snapshot(life.page);
    for (let i = 0; i < 80; i++) {
      const event = life.step();
      if (!event) continue;
      state = inbox.apply(state, event);
      assertLaw(state, life.page);
    }
  });

  test(`a page of seed ${seed} is not changed by events that it already contains`, () => {
    const life = new Life(seed);
    for (let i = 0; i < 15; i++) life.step();
    const events = Array.from({ length: 12 }, () => life.step()).filter(Boolean);
    // The page already contains the changes of these events.
    const page = life.page;
    assertLaw(events.reduce(inbox.apply, inbox.snapshot(page)), page);
  });
}
