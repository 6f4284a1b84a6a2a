// The page: a connection, a store, and one view at a time, chosen by the part of the address behind
// the number sign. What the first value does not need is loaded after it.

import { Sensord } from "./client.js";
import { el } from "./format.js";
import { now } from "./now.js";
import { Store } from "./store.js";
import { text, translate } from "./text.js";

const VIEWS = {
  now: () => now,
  views: () => import("./views.js").then(({ views }) => views),
  view: () => import("./views.js").then(({ view }) => view),
  topic: () => import("./topic.js").then(({ topic }) => topic),
  devices: () => import("./devices.js").then(({ devices }) => devices),
  device: () => import("./devices.js").then(({ device }) => device),
  alarms: () => import("./alarms.js").then(({ alarms }) => alarms),
  act: () => import("./act.js").then(({ act }) => act),
  recordings: () => import("./recordings.js").then(({ recordings }) => recordings),
  people: () => import("./people.js").then(({ people }) => people),
};
/** The entry of the menu that a view belongs to, where that is another. */
const MENU = { topic: "now", view: "views", device: "devices" };
const find = (selector) => document.querySelector(selector);
translate();
const scheme = location.protocol === "https:" ? "wss" : "ws";

const client = new Sensord(`${scheme}://${location.host}${location.pathname.replace(/[^/]*$/, "")}v1`, {
  name: localStorage.getItem("sensord-name") || "page",
  key: sessionStorage.getItem("sensord-key") ?? undefined,
});
client.addEventListener("up", () => sessionStorage.setItem("sensord-key", client.welcome.client.key));
client.addEventListener("refused", ({ error }) => {
  find("#link").textContent = error.message;
  if (error.code === "unauthorized") location.replace("/login");
});

let lostAt = 0;
const update = () => {
  const isUp = client.state === "up";
  if (!isUp && !lostAt) lostAt = Date.now();
  if (isUp) lostAt = 0;
  find("#link").textContent = client.state === "down" ? text.lostSince(new Date(lostAt).toLocaleTimeString()) : text.link[client.state];
  find("#link").dataset.state = client.state;
  document.body.classList.toggle("stale", client.state === "down" || client.state === "closed");
};
client.addEventListener("state", update);
update();

const toast = (words) => {
  const shown = el("div", { class: "toast", role: "status" }, words);
  document.body.append(shown);
  setTimeout(() => shown.remove(), 8000);
};

const context = { client, store: new Store(client), alarms: null, toast };
for (const [name, label] of Object.entries(text.views))
  find("#views").append(el("a", { href: `#${name}` }, label));
find("#views").append(el("button", { type: "button", class: "link", onclick: async () =>
  (await import("./replay.js")).replay(context) }, text.replay));

const watchAlarms = async () => {
  const { Alarms } = await import("./alarms.js");
  if (context.alarms) return;
  context.alarms = new Alarms(client);
  context.alarms.addEventListener("change", () => {
    const link = find('#views [href="#alarms"]');
    const { waiting } = context.alarms;
    link.textContent = waiting ? `${text.views.alarms} ${waiting}` : text.views.alarms;
    link.classList.toggle("waiting", waiting > 0);
    title();
  });
};

let leave = () => {}, shownView = "now", turn = 0;
const title = () => {
  const [, ...rest] = location.hash.slice(1).split("/");
  const waiting = context.alarms?.waiting;
  document.title = `${waiting ? `(${waiting}) ` : ""}${text.views[shownView] ?? decodeURIComponent(rest[0] ?? "")} · sensord`;
};
const show = async () => {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = Object.hasOwn(VIEWS, name) ? name : "now", mine = ++turn;
  leave();
  leave = () => {};
  shownView = view;
  const main = find("#main");
  main.replaceChildren();
  for (const link of find("#views").querySelectorAll("a"))
    link.toggleAttribute("aria-current", link.hash === `#${MENU[view] ?? view}`);
  title();
  try {
    if (view === "alarms") await watchAlarms();
    const made = view === "now" ? now : await VIEWS[view]();
    if (mine === turn) leave = made(main, { ...context, argument: rest.join("/") }) ?? (() => {});
  } catch (error) {
    if (mine === turn) main.append(el("p", { class: "note" }, text.notLoaded(error.message)));
  }
};
addEventListener("hashchange", show);
context.store.addEventListener("source", show);
document.body.classList.toggle("wall", new URLSearchParams(location.search).has("wall"));

// Messages from other clients appear wherever one looks.
const receive = () =>
  client.ask("receive", {}, ({ op, message, from, body }) => {
    if (op !== "message") return;
    toast(`${from.name || text.unnamed}: ${typeof body === "string" ? body : body?.text ?? JSON.stringify(body)}`);
    client.ask("ack", { message }).catch(() => {});
  }).catch(() => {});
client.addEventListener("up", () => {
  receive();
  client.ask("groups", { join: ["operators"] }).catch(() => {});
});
show();

// What the other views need, so that they open at once, even when the link is down by then.
const rest = () => {
  watchAlarms().catch(() => {});
  for (const load of [...Object.values(VIEWS), () => import("./replay.js")]) Promise.resolve(load()).catch(() => {});
};
context.store.addEventListener("change", () => setTimeout(rest, 500), { once: true });
setTimeout(rest, 3000);
