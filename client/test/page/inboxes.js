/** Example inboxes for manual inspection. */

const MINUTE = 60_000;
let made = 0;

/** A notification of some minutes ago; ids sort by age as UUIDv7 do. */
function notification(minutes, fields) {
  const at = new Date(Date.now() - minutes * MINUTE);
  const time = at.getTime().toString(16).padStart(12, '0');
  const id = `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(++made).padStart(12, '0')}`;
  return {
    id, type: 'general', title: 'Untitled', body: null, priority: 'normal', action_url: null, action_text: null, icon: null, actor: null,
    data: {}, tags: [], group: null, created_at: at.toISOString(), expires_at: null, seen_at: null, read_at: null, archived_at: null, ...fields,
  };
}

function full() {
  const read = (minutes) => ({ read_at: new Date(Date.now() - minutes * MINUTE).toISOString(), seen_at: new Date().toISOString() });
  return [
    notification(0.1, { title: 'Export of Gallery 118', body: '37 of 88 photographs', icon: '📦', data: { progress: 0.42 } }),
    notification(0.2, { title: 'Ann Lindqvist booked a family portrait', body: 'Saturday 14 March, 14:00 at Södermalm studio. She asks whether the dog may come.', actor: { name: 'Ann Lindqvist' }, action_url: '/bookings/7', action_text: 'View booking' }),
    notification(4, { title: 'Payment of €1,240 failed twice', body: 'The card ending 4242 was declined. Deliveries stop tonight unless it is updated.', priority: 'urgent', action_url: '/billing', action_text: 'Update card' }),
    notification(38, { title: 'Contract for “Nordic Weddings” needs a signature', priority: 'high', icon: '✍️', body: 'Two of three have signed.', action_url: '/contracts/3' }),
    notification(130, { title: 'Mikael Ström commented on Gallery 118', actor: { name: 'Mikael Ström' }, body: '“Could we get number 12 in black and white as well?”', action_url: '/galleries/118' }),
    ...['Ben Okafor', 'Nora Weiss', 'Ann Lindqvist', 'Bo Chen', 'Cleo Diaz'].map((name, i) => notification(200 + i, { title: `${name} commented on “Nordic Weddings”`, actor: { name }, body: '**Number 12** is *lovely*, see [the gallery](/galleries/118) and `IMG_0012.jpg`', body_format: 'markdown', group: 'gallery:118', data: { image: '/picture.svg' } })),
    notification(60 * 9, { title: 'Your weekly summary is ready', priority: 'low', icon: '📈', ...read(30), action_url: '/reports' }),
    notification(60 * 26, { title: 'Work delivered: Henrik & Sofia', body: '212 edited photographs were uploaded by Priya.', actor: { name: 'Priya Nair' }, ...read(60), action_url: '/galleries/117' }),
    notification(60 * 24 * 3, { title: 'Storage is 90 % full', priority: 'urgent', ...read(60), body: 'Older galleries can be moved to the archive.' }),
    notification(60 * 24 * 40, { title: 'Welcome to the studio', body: 'Here is how to set up your calendar.', ...read(60), action_url: 'https://example.com/' }),
    notification(60 * 24 * 400, { title: '<img src=x onerror=alert(1)> \u202Egnp.exe', body: '<script>alert(2)</script>', action_url: 'javascript:alert(3)', action_text: 'Do not', icon: 'javascript:alert(4)', ...read(60) }),
    ...Array.from({ length: 40 }, (_, i) => notification(60 * 24 * (410 + i), { title: `Booking ${400 - i} was completed`, icon: '📷', ...read(60) })),
  ];
}

/** @param {string} name */
export const inboxOf = (name) => ({ rows: name.startsWith('empty') ? [] : full(), revision: 1, make: (fields) => notification(0, fields) });
