// One topic, or two: its past and its present in one chart. What is missing is drawn as missing.

import { Chart, charts } from "./chart.js";
import { cell, clock, download, el, iso, shown, span, unit } from "./format.js";
import { text } from "./text.js";

const SECONDS = { "10m": 600, "1h": 3600, "6h": 21600, "1d": 86400, "7d": 604800, "30d": 2592000, "365d": 31536000 };
/** Up to so many seconds the chart shows readings, beyond it summaries. */
const RAW = 3600;
const SHORTEST = 10;
const POINTS = 700;
const MOST_RAW = 20_000;
const DRAW_EVERY_MS = 200;
const MOST_ROWS = 100;

/** What was pressed last: the view is made again with each range, and keeps the focus. */
let pressed = null;

/** Read the range of an address: `1d`, or two times in seconds. */
const readRange = (wanted) => {
  const fixed = /^(\d{1,12}(?:\.\d+)?)-(\d{1,12}(?:\.\d+)?)$/.exec(wanted);
  if (fixed && Number(fixed[1]) < Number(fixed[2])) return { from: Number(fixed[1]), to: Number(fixed[2]) };
  return { key: SECONDS[wanted] ? wanted : "10m" };
};
const numeric = (raw) => (typeof raw === "number" ? raw : typeof raw === "boolean" ? Number(raw) : null);
const empty = () => ({ times: [], values: [], low: [], high: [], raws: [], holes: [] });

export function topic(main, { client, store, argument }) {
  const [names, wanted = "10m"] = argument.split("~");
  const topics = names.split(",").slice(0, 2).map(decodeURIComponent);
  const range = readRange(wanted), isFixed = range.key === undefined;
  const seconds = isFixed ? range.to - range.from : SECONDS[range.key];
  const address = (list, part) => `#topic/${list.map(encodeURIComponent).join(",")}~${part}`;
  const interval = Math.max(1, Math.round(seconds / POINTS));
  let isRaw = seconds <= RAW;
  let series = topics.map(empty), subscriptions = [];
  const gaps = [];
  let chart = null, timer = null, poll = null, isOver = false;
  const until = () => (isFixed ? range.to : store.now() / 1000);

  // -- what is marked, moved and saved --------------------------------------------------------------

  const look = (from, to) => {
    const long = Math.max(SHORTEST, to - from), end = Math.min(to, store.now() / 1000);
    location.hash = address(topics, `${Math.floor(end - long)}-${Math.ceil(end)}`);
  };
  const button = (label, act, more = {}) => {
    const made = el("button", { type: "button", ...more, onclick: () => { pressed = label; act(); } }, label);
    if (pressed === label) {
      pressed = null;
      queueMicrotask(() => { if (made.isConnected) made.focus({ preventScroll: true }); });
    }
    return made;
  };
  const value = el("p", { class: "big", role: "status" });
  const about = el("p", { class: "soft" });
  const ranges = el("div", { role: "group", "aria-label": text.range, class: "bar" },
    ...Object.entries(text.ranges).map(([key, label]) =>
      button(label, () => (location.hash = address(topics, key)), { "aria-pressed": String(key === range.key) })));
  const nearest = Object.keys(SECONDS).find((key) => SECONDS[key] >= seconds - 1) ?? "365d";
  const moves = el("div", { role: "group", "aria-label": text.move, class: "bar" },
    button(text.earlier, () => look(until() - seconds * 1.5, until() - seconds / 2)),
    button(text.later, () => look(until() - seconds / 2, until() + seconds / 2), { disabled: !isFixed }),
    button(text.closer, () => look(until() - seconds * 0.75, until() - seconds * 0.25), { disabled: seconds <= SHORTEST }),
    button(text.wider, () => look(until() - seconds * 1.5, until() + seconds / 2), { disabled: seconds >= SECONDS["365d"] }),
    isFixed ? button(text.toPresent, () => (location.hash = address(topics, nearest))) : null,
    el("span", { class: isFixed ? "soft" : "soft hint" }, isFixed ? `${clock(range.from * 1e6)} – ${clock(range.to * 1e6)}` : text.mark));
  const other = el("input", { list: "other", placeholder: text.compare, "aria-label": text.compare, value: topics[1],
    onchange: () => {
      if (store.topics.has(other.value) || !other.value)
        location.hash = address([topics[0], other.value].filter(Boolean), wanted);
    } });
  const list = el("datalist", { id: "other" }, ...[...store.topics.keys()].map((name) => el("option", { value: name })));
  const stem = topics.join("+").replaceAll("/", "_");
  const csv = el("button", { type: "button", onclick: () => {
    const lines = ["time,topic,value"];
    topics.forEach((name, i) => series[i].times.forEach((time, j) => {
      const raw = series[i].raws[j] ?? series[i].values[j];
      if (raw !== null && raw !== undefined)
        lines.push([iso(Math.round(time * 1e6)), name, typeof raw === "object" ? JSON.stringify(raw) : raw].map(cell).join(","));
    }));
    download(`${stem}.csv`, new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
  } }, text.csv);
  const png = el("button", { type: "button", onclick: () => {
    const picture = chart?.picture();
    if (picture) download(`${stem}.png`, picture);
  } }, text.png);
  const holder = el("div", { class: "panel chart" }, el("p", { class: "note" }, text.loading));
  const missing = el("div", { class: "soft" });
  const body = el("tbody");
  const table = el("details", {}, el("summary", {}, text.table), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": text.table }, el("table", {},
    el("thead", {}, el("tr", {}, ...text.tableHeads.map((head) => el("th", { scope: "col" }, head)))), body)));
  table.addEventListener("toggle", () => fill());
  main.append(el("h2", {}, topics.join("  ·  ")), value, about, ranges, moves, holder, missing,
    el("div", { class: "bar" }, other, list, csv, png), table);

  // -- drawing --------------------------------------------------------------------------------------

  const metadata = (i) => store.topics.get(topics[i])?.reading.channel ?? {};
  const describe = () => {
    const entry = store.topics.get(topics[0]);
    if (!entry) return;
    const { reading } = entry, [, word] = store.mark(entry);
    value.textContent = `${shown(reading.value, reading.channel)} ${unit(reading.channel.unit)}`;
    value.className = `big value ${reading.quality}`;
    about.textContent = [reading.channel.description, reading.channel.device,
      text.quality[word] ?? word, `${clock(reading.time_us)} (${span(store.now() - reading.time_us / 1000)})`,
    ].filter(Boolean).join(" · ");
  };

  /** The columns of a series; between summaries and the present stands the last value. */
  const columns = (one, i) => {
    const entry = store.topics.get(topics[i])?.reading, { times, values, low, high } = one;
    const number = entry && entry.quality !== "bad" ? numeric(entry.value) : null;
    const at = entry ? entry.reported_us / 1e6 : 0;
    if (isRaw || isFixed || number === null || !times.length || at <= times.at(-1) || at - times.at(-1) > 3 * interval)
      return [times, values, low, high];
    return [[...times, at], [...values, number], [...low, number], [...high, number]];
  };
  const aligned = () => {
    const all = series.map(columns), pick = ([, values, low, high], i) => (isRaw || i ? [values] : [values, low, high]);
    if (all.length === 1) return [all[0][0], ...pick(all[0], 0)];
    const times = [...new Set(all.flatMap(([own]) => own))].sort((a, b) => a - b);
    return [times, ...all.flatMap((one, i) => {
      const place = new Map(one[0].map((time, j) => [time, j]));
      return pick(one, i).map((column) => times.map((time) => (place.has(time) ? column[place.get(time)] : undefined)));
    })];
  };

  let isLoaded = false;
  charts().then(() => { isLoaded = true; draw(); }, (error) => { missing.textContent = error.message; });
  const later = () => { timer ??= setTimeout(() => { timer = null; requestAnimationFrame(draw); }, DRAW_EVERY_MS); };
  const draw = () => {
    if (isOver) return;
    describe();
    if (table.open) fill();
    if (!isLoaded) return;
    const data = aligned();
    if (!data[0].length || !series.some(({ values }) => values.some((one) => one !== null))) {
      chart?.clear();
      chart = null;
      if (holder.ariaBusy === "true") return;
      const note = data[0].length ? text.noNumbers : text.noValues;
      if (holder.textContent !== note) holder.replaceChildren(el("p", { class: "note" }, note));
      return;
    }
    chart ??= new Chart(holder, { topics, metadata, hasBand: !isRaw, onZoom: look });
    const end = until();
    chart.draw(data, { min: end - seconds, max: end }, series.flatMap(({ holes }) => holes));
  };

  const fill = () => {
    const rows = topics.flatMap((name, i) => series[i].times.slice(-MOST_ROWS).map((time, j, { length }) => {
      const at = series[i].times.length - length + j;
      return [time, name, series[i].raws[at] ?? series[i].values[at], i];
    }));
    rows.sort((a, b) => b[0] - a[0]);
    body.replaceChildren(...rows.map(([time, name, one, i]) => el("tr", {},
      el("td", {}, clock(time * 1e6)), el("td", {}, name),
      el("td", { class: "num" }, shown(one, metadata(i)), ` ${unit(metadata(i).unit)}`))));
  };

  // -- readings -------------------------------------------------------------------------------------

  const missed = (gap) => {
    gaps.push(gap);
    const counts = new Map();
    for (const { reason, count } of gaps) {
      const known = counts.has(reason) ? counts.get(reason) : 0;
      counts.set(reason, count === null || known === null ? null : known + count);
    }
    missing.textContent = `${text.gaps}: ${[...counts].map(([reason, count]) => `${text.gap(count)} (${reason})`).join(", ")}`;
  };
  /** Begin a hole, which lasts until the next value. */
  const open = (one, from, reason) => {
    if (one.holes.at(-1)?.to !== null) one.holes.push({ from, to: null, reason });
  };
  const push = (one, time, number, raw) => {
    if (one.times.length && time <= one.times.at(-1)) return;
    one.times.push(time);
    one.values.push(number);
    one.raws.push(raw);
    const hole = one.holes.at(-1);
    if (hole?.to === null && raw !== null) hole.to = time;
    if (one.times.length <= MOST_RAW) return;
    // So many that they would not fit: summaries of the same range.
    if (one.times[0] > until() - seconds) return void (isRaw && summarize());
    for (const column of [one.times, one.values, one.raws]) column.shift();
  };
  const arrived = (i) => (item) => {
    const one = series[i];
    if (item.op === "gap") {
      missed(item);
      if (!one.times.length) return;
      open(one, one.times.at(-1), item.reason);
      push(one, one.times.at(-1) + 1e-6, null, null);
    }
    if (item.op !== "reading" || !isRaw) return;
    const isBad = item.quality === "bad", at = item.reported_us / 1e6;
    if (isBad) open(one, at, item.reason || item.quality);
    push(one, at, isBad ? null : numeric(item.value), isBad ? null : item.value);
    later();
  };
  const follow = () => topics.forEach((name, i) =>
    subscriptions.push(client.subscribe([name], arrived(i), { from: `-${seconds}s` })));
  const stretch = () => {
    const end = Math.round(until() * 1e6);
    return isFixed || store.player ? { from: { time_us: Math.round(end - seconds * 1e6) }, to: { time_us: end } } : { from: `-${seconds}s` };
  };

  // A replay begins with what was before the time that it shows.
  const fetchRaw = (isFollowed) => topics.forEach(async (name, i) => {
    const early = [], state = { cancel: isFollowed ? store.watch(name, (item) => early.push(item)) : () => {} };
    subscriptions.push(state);
    try {
      for await (const item of client.history([name], { ...stretch(), limit: MOST_RAW + 1 })) arrived(i)(item);
    } catch (error) { missing.textContent = error.message; }
    state.cancel();
    for (const item of early) arrived(i)(item);
    if (!isOver && isFollowed) state.cancel = store.watch(name, arrived(i));
    later();
  });

  // -- summaries ------------------------------------------------------------------------------------

  const fetchAll = async () => {
    const fresh = new Map(topics.map((name) => [name, empty()]));
    const isFirst = series.every(({ times }) => !times.length);
    // A year takes a moment to read: the first time, the chart grows while it comes.
    if (isFirst) series = [...fresh.values()];
    const found = [];
    let reason = null;
    for await (const item of client.history(topics, { ...stretch(), interval })) {
      if (isOver) return;
      if (item.op === "gap") { found.push(item); reason = item.reason; }
      const one = fresh.get(item.topic);
      if (item.op !== "row" || !one) continue;
      const at = item.time_us / 1e6 + interval / 2;
      // An interval without readings is a hole, not a straight line.
      if (one.times.length && at - one.times.at(-1) > 3 * interval) {
        const from = one.times.at(-1) + interval / 2;
        one.holes.push({ from, to: at - interval / 2, reason: reason ?? text.noReadings });
        one.times.push(from);
        for (const key of ["values", "low", "high", "raws"]) one[key].push(null);
      }
      reason = null;
      one.times.push(at);
      one.values.push(item.mean ?? numeric(item.last));
      one.low.push(item.min ?? numeric(item.last));
      one.high.push(item.max ?? numeric(item.last));
      one.raws.push(item.mean ?? item.last ?? null);
      if (isFirst) later();
    }
    series = [...fresh.values()];
    gaps.length = 0;
    missing.textContent = "";
    found.forEach(missed);
    draw();
  };
  const summaries = async () => {
    try { await fetchAll(); } catch (error) { missing.textContent = error.message; }
    holder.setAttribute("aria-busy", "false");
    if (!isOver && !isFixed) poll = setTimeout(summaries, Math.max(5, interval) * 1000);
  };
  const summarize = () => {
    isRaw = false;
    for (const one of subscriptions) one.cancel();
    subscriptions = [];
    series = topics.map(empty);
    chart?.clear(text.loading);
    chart = null;
    summaries();
  };

  holder.setAttribute("aria-busy", String(!isRaw));
  if (!isRaw) summaries();
  else if (isFixed || store.player) fetchRaw(!isFixed);
  else follow();
  later();
  const tick = setInterval(later, 1000);
  const resized = () => chart?.resize();
  addEventListener("resize", resized);
  return () => {
    isOver = true;
    clearInterval(tick);
    clearTimeout(poll);
    clearTimeout(timer);
    for (const one of subscriptions) one.cancel();
    chart?.clear();
    removeEventListener("resize", resized);
  };
}
