/** The page's table, kept up to date: after each change in the shop, and after an outage. */

const body = document.querySelector('table[data-live] tbody');
const bell = document.querySelector('bellcast-bell');

/** Whether the user is changing a number in the row. */
const isEdited = (row) => [...row.querySelectorAll('input')].some((input) => input.value !== input.defaultValue || input === document.activeElement);

async function refresh() {
  const response = await fetch(location.href);
  if (!response.ok || response.redirected) return;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = [...(page.querySelector('table[data-live] tbody')?.rows ?? [])];
  const edited = [...body.rows].filter((row) => row.id && isEdited(row));
  for (const row of [...body.rows]) if (!edited.includes(row)) row.remove();
  // The others are put around an edited row: one that is moved loses the focus.
  let next = edited[0] ?? null;
  for (const row of fresh) {
    const own = edited.find(({ id }) => id === row.id);
    if (own) next = own.nextElementSibling;
    else body.insertBefore(row, next);
  }
}

await window.bellcast; // of the loader
const { session } = bell;
let { status } = session.state;
session.addEventListener('event', ({ detail }) => detail.name === 'shop-changed' && refresh());
session.addEventListener('change', () => {
  const before = status;
  ({ status } = session.state);
  if (status === 'live' && before !== 'live') refresh();
});
