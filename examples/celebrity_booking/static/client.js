// The client's page: book a celebrity and follow the bookings.

import { follow } from "./bookings.js";
import { request, socket } from "./connection.js";

const form = document.querySelector("[data-booking]");
const stars = document.querySelector("[data-stars]");

follow();

const star = (celebrity) => {
  const card = document.createElement("label");
  card.style.setProperty("--hue", celebrity.hue);
  card.dataset.celebrity = celebrity.id;
  const choice = Object.assign(document.createElement("input"), { type: "radio", name: "celebrity", value: celebrity.id, required: true });
  choice.disabled = !celebrity.available;
  const name = Object.assign(document.createElement("strong"), { textContent: celebrity.name });
  const note = Object.assign(document.createElement("span"), { textContent: celebrity.available ? celebrity.knownFor : "Fully booked" });
  card.append(choice, name, note);
  return card;
};

socket.on("dashboard_data", ({ celebrities }) => {
  stars.querySelectorAll("label").forEach((card) => card.remove());
  stars.append(...celebrities.map(star));
});
socket.on("celebrity_update", (celebrity) => {
  stars.querySelector(`[data-celebrity="${CSS.escape(celebrity.id)}"]`)?.replaceWith(star(celebrity));
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  await request("POST", "/api/bookings", Object.fromEntries(new FormData(form)));
  form.reset();
});
