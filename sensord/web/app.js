// The page: a connection, a store, and one view at a time, chosen by the part of the address behind
// the number sign.

import { act } from "./act.js";
import { Alarms, alarms } from "./alarms.js";
import { Sensord } from "./client.js";
import { devices } from "./devices.js";
import { el } from "./format.js";
import { now } from "./now.js";
import { people } from "./people.js";
import { Store } from "./store.js";
import { text } from "./text.js";
import { topic } from "./topic.js";

const VIEWS = { now, devices, alarms, act, people, topic };
const find = (selector) => document.querySelector(selector);
const scheme = location.protocol === "https:" ? "wss" : "ws";

const client = new Sensord(`${scheme}://${location.host}/v1`, {
  name: "page",
  key: sessionStorage.getItem("sensord-key") ?? undefined,
});
client.addEventListener("up", () => sessionStorage.setItem("sensord-key", client.welcome.client.key));
client.addEventListener("refused", ({ error }) => {
  find("#link").textContent = error.message;
  if (error.code === "unauthorized") location.replace("/login");
});

const tell = () => {
  find("#link").textContent = text.link[client.state];
  find("#link").dataset.state = client.state;
};
client.addEventListener("state", tell);
tell();

export const toast = (words) => {
  const shown = el("div", { class: "toast", role: "status" }, words);
  document.body.append(shown);
  setTimeout(() => shown.remove(), 8000);
};

const context = { client, store: new Store(client), alarms: new Alarms(client), toast };
for (const [name, label] of Object.entries(text.views))
  find("#views").append(el("a", { href: `#${name}` }, label));

context.alarms.addEventListener("change", () => {
  const link = find('#views [href="#alarms"]');
  const { waiting } = context.alarms;
  link.textContent = waiting ? `${text.views.alarms} ${waiting}` : text.views.alarms;
  link.classList.toggle("waiting", waiting > 0);
});

let leave = () => {};
const show = () => {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = Object.hasOwn(VIEWS, name) ? name : "now";
  leave();
  const main = find("#main");
  main.replaceChildren();
  leave = VIEWS[view](main, { ...context, argument: rest.join("/") }) ?? (() => {});
  for (const link of find("#views").children)
    link.toggleAttribute("aria-current", link.hash === `#${view}` || (view === "topic" && link.hash === "#now"));
  document.title = `${text.views[view] ?? decodeURIComponent(rest[0] ?? "")} · sensord`;
};
addEventListener("hashchange", show);
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
