/** The bell of a page whose site may be mounted below a path: its links, and the end of its session. */

const { root } = document.documentElement.dataset;
const bell = document.querySelector('bellcast-bell');

// The person signed out, here or in another tab: the page must not go on showing their data.
bell.addEventListener('bellcast:sign-in', () => location.assign(`${root}/login?ended`));
bell.addEventListener('bellcast:open-notification', (event) => {
  const { action_url: url } = event.detail.notification;
  if (!url?.startsWith('/')) return;
  event.preventDefault();
  location.assign(root + url);
});
