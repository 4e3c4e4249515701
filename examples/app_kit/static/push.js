/** A switch for push messages to this browser. They arrive with no page open. */

const SUPPORTED = 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;

/**
 * Connect a checkbox within a label, which is hidden in browsers without push messages. `session` is a session of the
 * person, `root` the path of the site, and `fail(error)` shows why a browser refused.
 */
export async function connectPushSwitch(box, session, root, fail) {
  if (!SUPPORTED) return;
  const scope = `${root}/`;
  const find = () => navigator.serviceWorker.getRegistration(scope);
  const show = async () => {
    const registration = await find();
    const state = registration ? await session.pushState({ registration }) : Notification.permission === 'denied' ? 'blocked' : 'off';
    box.checked = state === 'on';
    box.disabled = state === 'blocked';
    return state;
  };
  const enable = async () => {
    // Ask first: browsers show the question only right after a click.
    const permission = Notification.requestPermission();
    const registration = await navigator.serviceWorker.register(`${root}/push-worker.js`, { scope });
    await permission;
    return session.enablePush({ registration });
  };
  box.addEventListener('change', async () => {
    box.disabled = true;
    try {
      await (box.checked ? enable() : session.disablePush({ registration: await find() }));
      fail('');
    } catch (error) {
      fail(error);
    }
    await show().catch(() => (box.disabled = false));
  });
  // A browser may renew its subscription while no page is open.
  if ((await show().catch(() => 'off')) === 'on') await enable().catch(() => {});
  box.closest('label').hidden = false;
}
