// The client's page: book a celebrity and follow the bookings.

import { draw, follow } from "./bookings.js";
import { attempt, request, socket, stored } from "./connection.js";

const { root } = document.documentElement.dataset;
const form = document.querySelector("[data-booking]");
const stars = document.querySelector("[data-stars]");
const MONEY = new Intl.NumberFormat(undefined, { style: "currency", currency: "EUR", maximumFractionDigits: 0 });

const star = (celebrity) => {
  const card = document.createElement("label");
  card.dataset.celebrity = celebrity.id;
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "celebrity", value: celebrity.id, required: true });
  choice.disabled = !celebrity.available;
  const face = Object.assign(document.createElement("img"), { src: `${root}/portraits/${celebrity.id}.svg`, alt: "", width: 202, height: 220 });
  const name = Object.assign(document.createElement("strong"), { textContent: celebrity.name });
  const note = Object.assign(document.createElement("span"), { textContent: celebrity.available ? celebrity.knownFor : "Fully booked" });
  const fee = Object.assign(document.createElement("b"), { textContent: MONEY.format(celebrity.fee) });
  card.append(choice, face, name, note, fee);
  return card;
};

const show = (celebrities) => {
  const chosen = new FormData(form).get("celebrity");
  stars.querySelectorAll("label").forEach((card) => card.remove());
  stars.append(...celebrities.map(star));
  const again = stars.querySelector(`[value="${CSS.escape(chosen ?? "")}"]`);
  if (again && !again.disabled) again.checked = true;
};
const bookings = follow(({ celebrities }) => draw(stars, celebrities, () => show(celebrities)));
socket.on("celebrity_update", (celebrity) => {
  delete stars.dataset.shown;
  stars.querySelector(`[data-celebrity="${CSS.escape(celebrity.id)}"]`)?.replaceWith(star(celebrity));
});

// One id per filled form: a request that is repeated books once.
let requestId = crypto.randomUUID();
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    bookings.put(await request("POST", "/api/bookings", { ...Object.fromEntries(new FormData(form)), requestId }));
    requestId = crypto.randomUUID();
    form.reset();
    stored("Your request is stored. The agency is notified as soon as the connection is back.");
  });
});
