// Named views: some topics in cards, shared with everybody through state/views/…, opened by a link.

import { clock, el, shown, span, unit } from "./format.js";
import { may, selects } from "./rights.js";
import { sketch } from "./spark.js";
import { text } from "./text.js";

const PREFIX = "state/views/";
const SECONDS = { "10m": 600, "1h": 3600, "6h": 21600, "1d": 86400, "7d": 604800 };
const POINTS = 120;
const CURVE_EVERY_MS = 15_000;
const NAME = /^[\p{L}\p{N}_-][\p{L}\p{N}_ .-]{0,40}$/u;

const read = (value) => {
  const { topics, range, layout } = value ?? {};
  const isList = Array.isArray(topics) && topics.length && topics.every((one) => typeof one === "string");
  return isList ? { topics, range: SECONDS[range] ? range : "10m", layout: layout === "values" ? "values" : "curves" } : null;
};

/** The list of views, and the form that makes or changes one. */
export function views(main, { client, store, toast }) {
  const list = el("ul", { class: "plain" });
  const name = el("input", { required: true, maxlength: 41, placeholder: text.viewName, "aria-label": text.viewName });
  const topics = el("input", { required: true, placeholder: text.topicsWanted, "aria-label": text.topicsWanted, list: "topics" });
  const names = el("datalist", { id: "topics" }, ...[...store.topics.keys()].map((value) => el("option", { value })));
  const range = el("select", { "aria-label": text.range }, ...Object.keys(SECONDS).map((one) => el("option", { value: one }, text.ranges[one])));
  const layout = el("select", { "aria-label": text.layout }, ...Object.entries(text.layouts).map(([value, label]) => el("option", { value }, label)));
  const form = el("form", { class: "bar", onsubmit: async (event) => {
    event.preventDefault();
    if (!NAME.test(name.value)) return toast(text.badName);
    const value = { topics: topics.value.split(/[\s,]+/).filter(Boolean), range: range.value, layout: layout.value };
    try {
      // Whoever else changed it meanwhile is not overwritten.
      await client.put(PREFIX + name.value, value, known.get(name.value)?.version ?? 0);
    } catch (error) { toast(error.code === "conflict" ? text.viewChanged : error.message); }
  } }, name, topics, names, range, layout, el("button", { class: "primary" }, text.save));
  main.append(el("h2", { class: "sr" }, text.views.views), form, el("div", { class: "panel" }, list));
  const known = new Map();
  const draw = () => {
    form.hidden = !may(client, "write", `${PREFIX}x`);
    const rows = [...known].sort(([a], [b]) => a.localeCompare(b)).map(([key, { version, view }]) => el("li", {},
      el("a", { href: `#view/${encodeURIComponent(key)}` }, key), el("span", { class: "soft" }, view.topics.join(", ")),
      el("a", { href: `?wall#view/${encodeURIComponent(key)}`, "aria-label": `${key}: ${text.wall}` }, text.wall),
      el("button", { type: "button", hidden: form.hidden, "aria-label": `${text.change} ${key}`, onclick: () => {
        name.value = key;
        topics.value = view.topics.join(", ");
        range.value = view.range;
        layout.value = view.layout;
        topics.focus();
      } }, text.change),
      el("button", { type: "button", hidden: form.hidden, "aria-label": `${text.remove} ${key}`, onclick: () =>
        client.delete(PREFIX + key, version).catch((error) => toast(error.message)) }, text.remove)));
    list.replaceChildren(...(rows.length ? rows : [el("li", { class: "note" }, text.noViews)]));
  };
  const subscription = client.subscribe([`${PREFIX}+`], (item) => {
    if (item.op !== "reading") return;
    const key = item.topic.slice(PREFIX.length), view = item.value?.deleted ? null : read(item.value?.value);
    if (view) known.set(key, { version: item.value.version, view });
    else known.delete(key);
    draw();
  });
  draw();
  return () => subscription.cancel();
}

/** One view: a card for each of its topics. */
export function view(main, { client, store, argument }) {
  const name = decodeURIComponent(argument);
  const cards = el("div", { class: "cards" }), note = el("p", { class: "note" }, text.loading);
  main.append(el("h2", {}, name), cards, note);
  let wanted = null, made = new Map(), timer = null, isOver = false;

  const card = (entry) => {
    const value = el("p", { class: "big" }), quality = el("span", { class: "quality" }), age = el("span", { class: "soft" });
    const canvas = el("canvas", { role: "img" }), bounds = el("p", { class: "soft" });
    const { description } = entry.reading.channel;
    const node = el("section", { class: "card", "aria-label": entry.topic, "data-topic": entry.topic },
      el("a", { href: `#topic/${encodeURIComponent(entry.topic)}` }, entry.topic), el("p", { class: "soft" }, description),
      value, el("p", {}, quality, " ", age), canvas, bounds);
    canvas.hidden = bounds.hidden = true;
    return { node, value, quality, age, canvas, bounds };
  };
  const draw = () => {
    if (!wanted) return;
    const shownNow = [...store.topics.values()].filter(({ topic }) => wanted.topics.some((filter) => selects(filter, topic)));
    shownNow.sort((a, b) => a.topic.localeCompare(b.topic));
    note.hidden = shownNow.length > 0;
    note.textContent = text.noValues;
    for (const entry of shownNow) {
      if (!made.has(entry.topic)) made.set(entry.topic, card(entry));
      const { value, quality, age } = made.get(entry.topic), { reading } = entry, [mark, word] = store.mark(entry);
      value.textContent = `${shown(reading.value, reading.channel)} ${unit(reading.channel.unit)}`;
      value.className = `big value ${reading.quality}`;
      quality.className = `quality ${mark}`;
      quality.textContent = text.quality[word] ?? word;
      age.textContent = span(store.now() - reading.time_us / 1000);
      age.title = clock(reading.time_us);
    }
    const nodes = shownNow.map(({ topic }) => made.get(topic).node);
    if (nodes.length !== cards.children.length || nodes.some((node, i) => node !== cards.children[i])) {
      cards.replaceChildren(...nodes);
      curves();
    }
  };
  const curves = async () => {
    clearTimeout(timer);
    if (isOver || wanted?.layout !== "curves") return;
    const topics = [...made].filter(([topic]) => typeof store.topics.get(topic)?.reading.value === "number").map(([topic]) => topic).slice(0, 64);
    const seconds = SECONDS[wanted.range], until = store.now() * 1000;
    const points = new Map(topics.map((topic) => [topic, []]));
    try {
      const range = { from: { time_us: Math.round(until - seconds * 1e6) }, to: { time_us: Math.round(until) }, interval: Math.max(1, Math.round(seconds / POINTS)) };
      for (const message of topics.length ? await client.collect("history", { topics, ...range }) : [])
        for (const row of message.op === "summary" ? message.rows : [])
          if (typeof row.mean === "number") points.get(client.channel(row.channel).topic)?.push([row.time_us, row.mean]);
    } catch { /* the next time */ }
    for (const [topic, found] of points) {
      const one = made.get(topic);
      if (!one || !found.length) continue;
      one.canvas.hidden = one.bounds.hidden = false;
      one.canvas.setAttribute("aria-label", `${topic}, ${text.ranges[wanted.range]}`);
      const { channel } = store.topics.get(topic)?.reading ?? { channel: {} };
      const [low, high] = sketch(one.canvas, found, 280, 80);
      one.bounds.textContent = `${text.ranges[wanted.range]}: ${shown(low, channel)} … ${shown(high, channel)} ${unit(channel.unit)}`;
    }
    timer = setTimeout(curves, CURVE_EVERY_MS);
  };
  const subscription = client.subscribe([PREFIX + name], (item) => {
    if (item.op === "stream" && item.phase === "live" && !wanted) note.textContent = text.noView(name);
    if (item.op === "end" && item.error) note.textContent = item.error.message;
    if (item.op !== "reading") return;
    wanted = item.value?.deleted ? null : read(item.value?.value);
    made = new Map();
    cards.replaceChildren();
    note.hidden = false;
    note.textContent = text.noView(name);
    draw();
  });
  const tick = setInterval(draw, 1000);
  store.addEventListener("change", draw);
  return () => {
    isOver = true;
    clearInterval(tick);
    clearTimeout(timer);
    subscription.cancel();
    store.removeEventListener("change", draw);
  };
}
