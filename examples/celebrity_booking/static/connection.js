// The page's connection to the server, with the stock Socket.IO client.

const { bellcast, token } = document.body.dataset;
const PING_INTERVAL = 10_000; // ms

export const socket = io(bellcast, { auth: { token } });

const line = document.querySelector("[data-line]");
const show = (state, words) => {
  line.dataset.state = state;
  line.lastElementChild.textContent = words;
};

socket.on("connect", () => {
  show("on", socket.recovered ? "Live, nothing missed" : "Live");
  // Recovery replays inbox changes only; the dashboard data is live only, so the page requests it again.
  socket.emit("request_dashboard_data");
  ping();
});
socket.on("disconnect", () => show("off", "Reconnecting"));
socket.on("connect_error", (error) => show("off", error.message));

let pingedAt = 0;
const ping = () => {
  if (!socket.connected) return;
  pingedAt = performance.now();
  socket.emit("ping");
};
socket.on("pong", () => show("on", `Live, ${Math.max(1, Math.round(performance.now() - pingedAt))} ms`));
setInterval(ping, PING_INTERVAL);

const alerts = document.querySelector("[data-alerts]");
socket.on("system_alert", ({ title, body }) => {
  const shown = document.createElement("p");
  shown.append(Object.assign(document.createElement("strong"), { textContent: title }), ` ${body ?? ""}`);
  alerts.replaceChildren(shown);
  setTimeout(() => shown.remove(), 8_000);
});

/** Send a request to the site. */
export async function request(method, path, fields) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const response = await fetch(path, { method, headers, body: JSON.stringify(fields) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}
