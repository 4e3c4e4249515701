// The page's line to the server: the stock Socket.IO client, as it was before.

const { bellcast, token } = document.body.dataset;
const CHECK_EVERY = 10_000;

export const socket = io(bellcast, { auth: { token } });

const line = document.querySelector("[data-line]");
const show = (state, words) => {
  line.dataset.state = state;
  line.lastElementChild.textContent = words;
};

socket.on("connect", () => {
  show("on", socket.recovered ? "Live again, nothing missed" : "Live");
  // Inboxes were caught up already if it recovered; what the page shows is live only, so it asks again.
  socket.emit("request_dashboard_data");
  check();
});
socket.on("disconnect", () => show("off", "Connecting again"));
socket.on("connect_error", (error) => show("off", error.message));

let asked = 0;
const check = () => {
  if (!socket.connected) return;
  asked = performance.now();
  socket.emit("ping");
};
socket.on("pong", () => show("on", `Live, ${Math.max(1, Math.round(performance.now() - asked))} ms`));
setInterval(check, CHECK_EVERY);

const alerts = document.querySelector("[data-alerts]");
socket.on("system_alert", ({ title, body }) => {
  const shown = document.createElement("p");
  shown.append(Object.assign(document.createElement("strong"), { textContent: title }), ` ${body ?? ""}`);
  alerts.replaceChildren(shown);
  setTimeout(() => shown.remove(), 8_000);
});

/** Ask the site itself. */
export async function ask(method, path, fields) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const answer = await fetch(path, { method, headers, body: JSON.stringify(fields) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}
