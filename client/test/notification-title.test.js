/** The title of a notification with the name of its actor, and the icon of its type. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fullTitle, splitTitle } from '../src/bellcast/elements/notification-title.js';
import { typeIcon } from '../src/bellcast/elements/type-icons.js';
import * as icons from '../src/bellcast/elements/icons.js';

const by = (name) => ({ name });

for (const [title, actor, parts] of [
  ['commented on “Harbour”', by('Farid Ito'), ['', 'Farid Ito', ' commented on “Harbour”']],
  ['New comment', by('Farid Ito'), ['', 'Farid Ito', ' · New comment']],
  ['A note of Farid Ito came', by('Farid Ito'), ['A note of ', 'Farid Ito', ' came']],
  ['Farid commented', by('Farid Ito'), ['Farid commented', '', '']],
  ['Ben declined your booking', by('Ben Marlowe'), ['Ben declined your booking', '', '']],
  ['The annex is ready', by('Ann'), ['', 'Ann', ' · The annex is ready']],
  ['Aviso de pago', by('Ana de Silva'), ['', 'Ana de Silva', ' · Aviso de pago']],
  ['田中さんがコメントしました', by('田中'), ['', '田中', 'さんがコメントしました']],
  ['New comment', null, ['New comment', '', '']],
  ['New comment', by(' '), ['New comment', '', '']],
]) {
  test(`a title has the name of its actor: ${title}, ${actor?.name}`, () => {
    assert.deepEqual(splitTitle({ title, actor }), parts);
    assert.equal(fullTitle({ title, actor }), parts.join(''));
  });
}

for (const [name, type, shape] of [
  [null, 'payment_received', icons.payment], [null, 'PaymentFailed', icons.alert], [null, 'invoice.overdue', icons.alert], [null, 'new-booking', icons.calendar],
  [null, 'order.shipped', icons.parcel], [null, 'customers', icons.person], [null, 'gallery', icons.page], [null, 'comment', icons.comment],
  [null, 'reorder', undefined], [null, 'general', undefined], ['package', 'comment', icons.parcel], ['unknown', 'comment', icons.comment], ['lock', '', icons.lock],
]) {
  test(`icon ${name} of the type ${type}`, () => assert.equal(typeIcon(name, type), shape));
}
