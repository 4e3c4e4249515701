// The page's connection to the server, with the stock Socket.IO client and the site's JWT.

const { root } = document.documentElement.dataset;
const { bellcast } = document.body.dataset;
const PING_INTERVAL = 10_000; // ms

/** Return a JWT of the session; without a session, go to the login page. */
async function jwt() {
  const response = await fetch(`${root}/api/token`);
  if (response.status === 401) location.assign(`${root}/login?ended`);
  return response.ok ? (await response.json()).token : null;
}

export const socket = io(bellcast, { auth: (use) => jwt().then((token) => use({ token }), () => use({})) });

const line = document.querySelector("[data-line]");
const show = (state, words) => {
  line.dataset.state = state;
  line.lastElementChild.textContent = words;
};

socket.on("connect", () => {
  note.textContent = "";
  show("on", socket.recovered ? "Live, nothing missed" : "Live");
  // Recovery replays inbox changes only; the dashboard data is live only, so the page requests it again.
  socket.emit("request_dashboard_data");
  ping();
});
socket.on("disconnect", (reason) => {
  show("off", "Reconnecting");
  // The server ended the connection: this device or another one signed out.
  if (reason === "io server disconnect") socket.connect();
});
socket.on("connect_error", () => show("off", "Reconnecting"));

const note = document.querySelector("[data-stored]") ?? document.createElement("p");
/** Without a connection, tell the user that a change is stored. */
export const stored = (words) => {
  note.textContent = socket.connected ? "" : words;
};

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

document.querySelector("bellcast-bell").getToken = jwt;

/** Send a request to the site. Throws an error with a message for the user. */
export async function request(method, path, fields) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${await jwt()}` };
  const response = await fetch(root + path, { method, headers, body: JSON.stringify(fields) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** Perform the user's action, and show the reason if it fails. */
export async function attempt(work) {
  const problem = document.querySelector("[data-problem]");
  problem.textContent = "";
  try {
    await work();
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "Starlight can’t be reached. Please try again." : error.message;
  }
}
