// Only a page that was opened on the machine of the server has the form.
const form = document.querySelector('form');
const button = form?.querySelector('button');
const result = form?.querySelector('.result');
const server = new URL(document.baseURI);
if (!server.pathname.endsWith('/')) server.pathname += '/';

async function post(body) {
  const response = await fetch(server, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const decoded = await response.json();
  if (!response.ok) throw new Error(decoded.detail);
  return decoded;
}

function show(text, failed) {
  result.textContent = text;
  result.toggleAttribute('data-failed', Boolean(failed));
}

const bell = document.createElement('bellcast-bell');
bell.setAttribute('server', server.href);
bell.getToken = async () => (await post({})).token;

form?.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await post({ title: form.elements.title.value });
    if (!bell.isConnected) document.querySelector('.bell').replaceChildren(bell); // its connection creates the recipient
    show('Sent: it is stored in the inbox, and in the bell.');
  } catch (error) {
    show(error.message, true);
  } finally {
    button.disabled = false;
  }
});

const { copyText } = await import(new URL('bellcast/check.js', server).href);
for (const copy of document.querySelectorAll('.code button')) {
  copy.hidden = false;
  copy.addEventListener('click', () => {
    copy.textContent = copyText(copy.previousElementSibling.textContent) ? 'Copied' : 'Not copied';
  });
}
