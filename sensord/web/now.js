// Every topic as a row: only those in sight are in the document.

import { el, shown, span, unit } from "./format.js";
import { sketch } from "./spark.js";
import { text } from "./text.js";

const ROW = 34;
const FRESH_MS = 1500;
const SPARK_EVERY_MS = 60_000;
const QUALITIES = { bad: 0, uncertain: 1, good: 2 };
const { compare } = new Intl.Collator();

// The ten minutes before the time that is shown.
const recent = (store) => {
  const until = Math.round(store.now() * 1000);
  return store.player ? { from: { time_us: until - 600e6 }, to: { time_us: until } } : { from: "-10m" };
};

export function now(main, { client, store }) {
  const pinned = new Set(JSON.parse(localStorage.getItem("sensord-pinned") ?? "[]"));
  const search = el("input", { type: "search", placeholder: text.search, "aria-label": text.search });
  const sort = el("select", { "aria-label": text.sortBy },
    ...Object.entries(text.sorts).map(([value, label]) => el("option", { value }, label)));
  // While it stands still, values are those of the moment when somebody stopped it.
  let still = null;
  const topics = () => still ?? store.topics;
  const pause = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    still = still ? null : new Map([...store.topics].map(([name, entry]) => [name, { ...entry, changedAt: 0 }]));
    pause.setAttribute("aria-pressed", String(still !== null));
    isOrderedFor = "";
    arrange();
  } }, text.pause);
  const count = el("span", { class: "soft", role: "status" });
  const rows = el("div", { class: "rows", role: "list" });
  const panel = el("div", { class: "panel" }, rows);
  main.append(el("h2", { class: "sr" }, text.views.now),
    el("div", { class: "bar" }, search, sort, pause, count), panel);
  let lines = [];
  const drawn = new Map();

  const group = (entry) => entry.reading.channel.device || text.noDevice;
  const fits = (entry, words) => {
    const whole = `${entry.topic} ${group(entry)} ${shown(entry.reading.value)}`.toLowerCase();
    return words.every((word) => whole.includes(word));
  };
  const orders = {
    device: (a, b) => compare(group(a), group(b)) || compare(a.topic, b.topic),
    topic: (a, b) => compare(a.topic, b.topic),
    age: (a, b) => b.reading.time_us - a.reading.time_us,
    quality: (a, b) => QUALITIES[a.reading.quality] - QUALITIES[b.reading.quality] || compare(a.topic, b.topic),
  };
  // By device and by topic, ten thousand topics keep their order while somebody searches.
  let ordered = [], isOrderedFor = "";
  const inOrder = () => {
    const wanted = `${sort.value} ${topics().size}`;
    if (wanted !== isOrderedFor || sort.value === "age" || sort.value === "quality") {
      ordered = [...topics().values()].sort(orders[sort.value]);
      isOrderedFor = wanted;
    }
    return ordered;
  };
  let waiting = null;
  /** Arrange when the letter or the star has been drawn: several that come together do it once. */
  const arrangeSoon = () => { waiting ??= requestAnimationFrame(() => setTimeout(() => { waiting = null; if (rows.isConnected) arrange(); })); };

  const arrange = () => {
    const focused = rows.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && [focused.closest(".row")?.dataset.topic, focused.localName];
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? inOrder().filter((entry) => fits(entry, words)) : inOrder();
    const first = found.filter((entry) => pinned.has(entry.topic));
    lines = [...first];
    let last = null;
    for (const entry of found) {
      if (pinned.has(entry.topic)) continue;
      if (sort.value === "device" && group(entry) !== last) {
        last = group(entry);
        lines.push({ group: last });
      }
      lines.push(entry);
    }
    count.textContent = text.topics(found.length, topics().size);
    rows.style.height = `${lines.length * ROW}px`;
    for (const made of drawn.values()) made.remove();
    drawn.clear();
    rows.querySelector(".note")?.remove();
    if (!lines.length)
      rows.append(el("p", { class: "note" }, store.topics.size ? text.noMatch : text.nothing));
    draw();
    // A row is another element now; whoever was on it by keyboard still is.
    if (place) [...drawn.values()].find((row) => row.dataset.topic === place[0])?.querySelector(place[1])?.focus({ preventScroll: true });
  };

  const inSight = () => {
    const top = rows.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(-top / ROW) - 5);
    return [from, Math.min(lines.length, from + Math.ceil(innerHeight / ROW) + 10)];
  };

  const draw = () => {
    const [from, to] = inSight();
    for (const [index, made] of drawn) {
      if (index < from || index >= to) { made.remove(); drawn.delete(index); }
    }
    const wanted = [];
    for (let i = from; i < to; i++) {
      if (!drawn.has(i)) {
        const made = lines[i].group !== undefined ? groupRow(lines[i].group) : topicRow(lines[i]);
        made.style.top = `${i * ROW}px`;
        drawn.set(i, made);
        rows.append(made);
      }
      const entry = lines[i];
      if (entry.reading) {
        refresh(drawn.get(i), entry);
        if (typeof entry.reading.value === "number" && !entry.spark) wanted.push(entry);
      }
    }
    if (wanted.length) sparks(wanted.slice(0, 48));
  };

  const groupRow = (name) =>
    el("div", { class: "group", role: "listitem" }, el("span", {}, name));

  const topicRow = (entry) => {
    const star = () => {
      pin.setAttribute("aria-pressed", String(pinned.has(entry.topic)));
      pin.textContent = pinned.has(entry.topic) ? "★" : "☆";
    };
    const pin = el("button", {
      type: "button", "aria-label": text.pin(entry.topic), title: text.pin(entry.topic),
      onclick: () => {
        if (!pinned.delete(entry.topic)) pinned.add(entry.topic);
        star();
        setTimeout(() => localStorage.setItem("sensord-pinned", JSON.stringify([...pinned])));
        arrangeSoon();
      },
    });
    star();
    return el("div", { class: "row", role: "listitem", "data-topic": entry.topic },
      el("a", { href: `#topic/${encodeURIComponent(entry.topic)}`, title: entry.reading.channel.description || entry.topic }, el("bdi", {}, entry.topic)),
      el("span", { class: "value" }), el("span", { class: "quality" }), el("span", { class: "age" }),
      el("canvas", { role: "img", "aria-label": text.sparkline(entry.topic) }), pin);
  };

  const refresh = (row, entry) => {
    const { reading } = entry, [, value, quality, age, canvas] = row.children;
    const [mark, word] = store.mark(entry);
    const written = shown(reading.value, reading.channel);
    if (value.dataset.written !== written || value.dataset.mark !== mark) {
      value.replaceChildren(written, el("span", { class: "unit" }, ` ${unit(reading.channel.unit)}`));
      value.className = `value ${reading.quality}`;
      Object.assign(value.dataset, { written, mark });
      quality.className = `quality ${mark}`;
      quality.textContent = text.quality[word] ?? word;
      quality.title = word;
    }
    const old = span(store.now() - reading.time_us / 1000);
    if (age.textContent !== old) age.textContent = old;
    row.classList.toggle("fresh", entry.changedAt > 0 && performance.now() - entry.changedAt < FRESH_MS);
    if (entry.spark && entry.spark.drawn !== canvas && entry.spark.points.length) {
      entry.spark.drawn = canvas;
      sketch(canvas, entry.spark.points);
    }
  };

  const sparks = async (entries) => {
    for (const entry of entries) entry.spark = { points: [], drawn: null };
    const byTopic = new Map(entries.map((entry) => [entry.topic, entry]));
    try {
      const found = await client.collect("history", { topics: [...byTopic.keys()], ...recent(store), interval: 15 });
      for (const message of found)
        if (message.op === "summary")
          for (const row of message.rows)
            if (typeof row.mean === "number")
              byTopic.get(client.channel(row.channel).topic)?.spark.points.push([row.time_us, row.mean]);
      for (const entry of entries) entry.spark.drawn = null;
    } catch { /* it is asked for again with the next minute */ }
    setTimeout(() => { for (const entry of entries) entry.spark = null; }, SPARK_EVERY_MS);
    draw();
  };

  const changed = ({ isNew }) => {
    if (still) return;
    const known = lines.filter((line) => line.reading).length;
    if (isNew || (known !== store.topics.size && !search.value)) arrange();
    else draw();
  };
  const tick = setInterval(draw, 1000);
  store.addEventListener("change", changed);
  search.addEventListener("input", arrangeSoon);
  sort.addEventListener("change", arrange);
  addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  arrange();
  return () => {
    clearInterval(tick);
    cancelAnimationFrame(waiting);
    store.removeEventListener("change", changed);
    removeEventListener("scroll", draw);
    removeEventListener("resize", draw);
  };
}
