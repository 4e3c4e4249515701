/** The preferences form, on the REST API of the suite: each change is saved immediately. */

const form = document.querySelector('#preferences');
const status = form.querySelector('[role=status]');
const rows = { enabled: 'Everything', sales: 'Sales', inventory: 'Inventory', customer: 'Customers', system: 'System', security: 'Security' };
const token = () => document.cookie.match(/suite_csrf=([^;]+)/)?.[1] ?? '';

for (const [name, label] of Object.entries(rows)) {
  const row = form.querySelector('tbody').insertRow();
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = label;
  row.append(head);
  for (const [channel, where] of [['in_app', 'in the app'], ['email', 'by e-mail']]) {
    const box = Object.assign(document.createElement('input'), { type: 'checkbox', name: `${channel}_${name}` });
    box.setAttribute('aria-label', `${label} ${where}`);
    const target = Object.assign(document.createElement('label'), { className: 'check' });
    target.append(box);
    row.insertCell().append(target);
  }
}

function show(preferences) {
  for (const field of form.elements) {
    if (!(field.name in preferences)) continue;
    if (field.type === 'checkbox') field.checked = preferences[field.name];
    else field.value = preferences[field.name]?.slice(0, 5) ?? '';
  }
  form.setAttribute('aria-busy', 'false');
}

async function send(method, body) {
  const response = await fetch(form.dataset.url, { method, headers: { 'content-type': 'application/json', 'x-csrftoken': token() }, ...(body && { body: JSON.stringify(body) }) });
  const decoded = await response.json();
  if (!response.ok) throw new Error(decoded.detail ?? Object.values(decoded).flat().join(' '));
  return decoded;
}

const value = (field) => (field.type === 'checkbox' ? field.checked : field.value || null);

form.addEventListener('change', async ({ target }) => {
  const times = ['quiet_hours_start', 'quiet_hours_end'];
  const names = times.includes(target.name) ? times : [target.name];
  const changes = Object.fromEntries(names.map((name) => [name, value(form.elements[name])]));
  if (names === times && Boolean(changes.quiet_hours_start) !== Boolean(changes.quiet_hours_end)) return; // the other time is still to be set
  try {
    show(await send('PUT', changes));
    status.textContent = 'Saved.';
  } catch (error) {
    status.textContent = error.message;
  }
});

send('GET').then(show, (error) => (status.textContent = error.message));
