/** The preferences form, on the REST API of the suite: each change is saved immediately. */

const RETRY = 5_000; // ms between attempts to read the preferences while Bellcast does not respond
const form = document.querySelector('#preferences');
const status = form.querySelector('[role=status]');
const { quiet_hours_start: start, quiet_hours_end: end, csrfmiddlewaretoken: token } = form.elements;

/** Read or change the preferences and show them. The form is inert until they are known. */
async function send(method, changes) {
  const headers = { 'content-type': 'application/json', 'x-csrftoken': token.value };
  const response = await fetch(form.dataset.url, { method, headers, ...(changes && { body: JSON.stringify(changes) }) });
  const fields = await response.json();
  if (!response.ok) throw new Error(fields.detail ?? Object.values(fields).flat().join(' '));
  for (const [name, value] of Object.entries(fields)) {
    const field = form.elements[name];
    if (field?.type === 'checkbox') field.checked = value;
    else if (field) field.value = value?.slice(0, 5) ?? '';
  }
  form.inert = false;
  status.textContent = changes ? 'Saved.' : '';
}

async function read(problem = '') {
  form.inert = true;
  await send('GET').then(() => (status.textContent = problem), ({ message }) => {
    status.textContent = problem || message;
    setTimeout(read, RETRY, problem);
  });
}

form.addEventListener('change', ({ target }) => {
  const isTime = target === start || target === end;
  if (isTime && Boolean(start.value) !== Boolean(end.value)) return; // the other time is still to be set
  const changes = isTime ? { [start.name]: start.value || null, [end.name]: end.value || null } : { [target.name]: target.checked };
  send('PUT', changes).catch(({ message }) => read(message)); // shows what is saved
});
read();
