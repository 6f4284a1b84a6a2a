// One topic, or two: its past and its present in one chart. What is missing is drawn as missing.

import { clock, download, el, shown, span, unit } from "./format.js";
import { text } from "./text.js";

const SECONDS = { "10m": 600, "1h": 3600, "6h": 21600, "1d": 86400, "7d": 604800, "30d": 2592000, "365d": 31536000 };
const RAW = 3600;
const POINTS = 700;
const MOST_RAW = 20_000;

let library = null;
/** Load the library of charts, once. */
const charts = () => (library ??= new Promise((resolve, reject) => {
  document.head.append(
    el("link", { rel: "stylesheet", href: "/web/vendor/uPlot.min.css" }),
    el("script", { src: "/web/vendor/uPlot.iife.min.js", onload: resolve, onerror: () => {
      library = null;
      reject(new Error(text.noCharts));
    } }));
}));

export function topic(main, { client, store, argument }) {
  const [names, wanted = "10m"] = argument.split("~");
  const topics = names.split(",").map(decodeURIComponent);
  const range = SECONDS[wanted] ? wanted : "10m";
  const address = (list, span_) => `#topic/${list.map(encodeURIComponent).join(",")}~${span_}`;
  const isRaw = SECONDS[range] <= RAW;
  const interval = Math.max(1, Math.round(SECONDS[range] / POINTS));
  const series = topics.map(() => ({ times: [], values: [], low: [], high: [] }));
  const subscriptions = [], gaps = [];
  let chart = null, frame = 0, isOver = false, poll = null;

  const value = el("p", { class: "big", role: "status" });
  const about = el("p", { class: "soft" });
  const ranges = el("div", { role: "group", "aria-label": text.range, class: "bar" },
    ...Object.entries(text.ranges).map(([key, label]) => el("button", {
      type: "button", "aria-pressed": String(key === range),
      onclick: () => (location.hash = address(topics, key)),
    }, label)));
  const other = el("input", { list: "other", placeholder: text.compare, "aria-label": text.compare,
    onchange: () => { if (store.topics.has(other.value)) location.hash = address([topics[0], other.value], range); } });
  const list = el("datalist", { id: "other" });
  for (const name of store.topics.keys()) list.append(el("option", { value: name }));
  const stem = topics.join("+").replaceAll("/", "_");
  const csv = el("button", { type: "button", onclick: () => {
    const lines = ["time,topic,value"];
    topics.forEach((name, i) => series[i].times.forEach((time, j) => {
      if (series[i].values[j] !== null)
        lines.push(`${new Date(time * 1000).toISOString()},${name},${series[i].values[j]}`);
    }));
    download(`${stem}.csv`, new Blob([lines.join("\n"), "\n"], { type: "text/csv" }));
  } }, text.csv);
  const png = el("button", { type: "button", onclick: () => {
    const canvas = holder.querySelector("canvas");
    if (canvas) download(`${stem}.png`, canvas.toDataURL("image/png"));
  } }, text.png);
  const holder = el("div", { class: "panel chart" }, el("p", { class: "note" }, text.loading));
  const missing = el("div", { class: "soft" });
  const body = el("tbody");
  const table = el("details", {}, el("summary", {}, text.table), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": text.table }, el("table", {}, body)));
  table.addEventListener("toggle", () => fill());
  main.append(el("h2", {}, topics.join("  ·  ")), value, about, ranges,
    el("div", { class: "bar" }, other, list, csv, png), holder, missing, table);

  const metadata = (i) => store.topics.get(topics[i])?.reading.channel ?? {};
  const update = () => {
    const entry = store.topics.get(topics[0]);
    if (!entry) return;
    const { reading } = entry, [, word] = store.mark(entry);
    value.textContent = `${shown(reading.value, reading.channel)} ${unit(reading.channel.unit)}`;
    value.className = `big value ${reading.quality}`;
    about.textContent = [reading.channel.description, reading.channel.device,
      text.quality[word] ?? word, `${clock(reading.time_us)} (${span(store.now() - reading.time_us / 1000)})`,
    ].filter(Boolean).join(" · ");
  };

  let isLoaded = false;
  charts().then(() => { isLoaded = true; draw(); }, (error) => { missing.textContent = error.message; });
  const later = () => { frame ||= requestAnimationFrame(() => { frame = 0; draw(); }); };

  const aligned = () => {
    const all = new Set();
    for (const one of series) for (const time of one.times) all.add(time);
    const times = [...all].sort((a, b) => a - b);
    const data = [times];
    series.forEach((one, i) => {
      const at = new Map(one.times.map((time, j) => [time, j]));
      const column = (from) => times.map((time) => (at.has(time) ? from[at.get(time)] : undefined));
      data.push(column(one.values));
      if (!isRaw && i === 0) data.push(column(one.low), column(one.high));
    });
    return data;
  };

  const draw = () => {
    if (isOver) return;
    update();
    if (!isLoaded) return;
    const data = aligned();
    if (!data[0].length) {
      holder.replaceChildren(el("p", { class: "note" }, text.noValues));
      chart?.destroy();
      chart = null;
      return;
    }
    const until = store.now() / 1000;
    const scale = { min: until - SECONDS[range], max: until };
    if (chart) {
      chart.setData(data, false);
      chart.setScale("x", scale);
    } else build(data, scale);
    if (table.open) fill();
  };

  const build = (data, scale) => {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const colors = [color("--spark"), color("--uncertain")];
    const digits = (i) => (_, number) => (number === null || number === undefined ? "—" : shown(number, metadata(i)));
    const lines = [{}];
    topics.forEach((name, i) => {
      lines.push({ label: name, stroke: colors[i % 2], width: 1.5, scale: `y${i}`, value: digits(i), spanGaps: false });
      if (!isRaw && i === 0) lines.push(
        { label: text.low, scale: "y0", value: digits(0), stroke: "transparent", points: { show: false } },
        { label: text.high, scale: "y0", value: digits(0), stroke: "transparent", points: { show: false } });
    });
    const axis = (i) => ({ scale: `y${i}`, side: i ? 1 : 3, stroke: color("--soft"), label: unit(metadata(i).unit), size: 64, grid: { show: !i, stroke: color("--line"), width: 1 } });
    holder.replaceChildren();
    chart = new uPlot({
      width: holder.clientWidth - 20, height: Math.max(260, Math.min(innerHeight * 0.55, 640)),
      series: lines, cursor: { drag: { x: true, y: false } },
      scales: { x: { time: true, min: scale.min, max: scale.max } },
      axes: [{ stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 } }, ...topics.map((_, i) => axis(i))],
      bands: isRaw ? [] : [{ series: [3, 2], fill: `${colors[0]}2e` }],
    }, data, holder);
    chart.setScale("x", scale);
    holder.querySelector("canvas").setAttribute("role", "img");
    holder.querySelector("canvas").setAttribute("aria-label", topics.join(", "));
  };

  const fill = () => {
    const rows = [];
    topics.forEach((name, i) => {
      const last = series[i].times.length;
      for (let j = Math.max(0, last - 100); j < last; j++)
        rows.push([series[i].times[j], name, series[i].values[j], i]);
    });
    rows.sort((a, b) => b[0] - a[0]);
    body.replaceChildren(...rows.map(([time, name, number, i]) => el("tr", {},
      el("td", {}, clock(time * 1e6)), el("td", {}, name),
      el("td", { class: "num" }, shown(number, metadata(i)), ` ${unit(metadata(i).unit)}`))));
  };

  const missed = (gap) => {
    gaps.push(gap);
    const counts = new Map();
    for (const { reason, count } of gaps) {
      const known = counts.has(reason) ? counts.get(reason) : 0;
      counts.set(reason, count === null || known === null ? null : known + count);
    }
    missing.textContent = `${text.gaps}: ${[...counts].map(([reason, count]) => `${text.gap(count)} (${reason})`).join(", ")}`;
  };

  const push = (one, time, number) => {
    if (one.times.length && time <= one.times.at(-1)) return;
    one.times.push(time);
    one.values.push(number);
    while (one.times.length > MOST_RAW) { one.times.shift(); one.values.shift(); }
  };
  const numeric = (raw) => (typeof raw === "number" ? raw : typeof raw === "boolean" ? Number(raw) : null);

  const arrived = (i) => (item) => {
    if (item.op === "gap") {
      missed(item);
      if (series[i].times.length) push(series[i], series[i].times.at(-1) + 1e-6, null);
    }
    if (item.op !== "reading") return;
    const number = item.quality === "bad" ? null : numeric(item.value);
    const at = item.time_us / 1e6;
    push(series[i], item.age === null ? at : at + item.age / 1e6, number);
    later();
  };
  const follow = () => topics.forEach((name, i) =>
    subscriptions.push(client.subscribe([name], arrived(i), { from: `-${SECONDS[range]}s` })));

  // A replay begins with what was before the time that it shows.
  const followReplay = () => topics.forEach(async (name, i) => {
    const early = [];
    const state = { cancel: store.watch(name, (item) => early.push(item)) };
    subscriptions.push(state);
    const until = Math.round(store.now() * 1000), from = until - SECONDS[range] * 1e6;
    try {
      const before = client.history([name], { from: { time_us: from }, to: { time_us: until }, limit: MOST_RAW });
      for await (const item of before) arrived(i)(item);
    } catch (error) { missing.textContent = error.message; }
    state.cancel();
    for (const item of early) arrived(i)(item);
    if (!isOver) state.cancel = store.watch(name, arrived(i));
  });

  const stretch = () => {
    const until = Math.round(store.now() * 1000);
    return store.player
      ? { from: { time_us: until - SECONDS[range] * 1e6 }, to: { time_us: until } }
      : { from: `-${SECONDS[range]}s` };
  };
  const fetchAll = async () => {
    const byTopic = new Map(topics.map((name, i) => [name, i]));
    const fresh = topics.map(() => ({ times: [], values: [], low: [], high: [] }));
    const found = await client.collect("history", { topics, ...stretch(), interval });
    gaps.length = 0;
    for (const message of found) {
      if (message.op === "gap") missed(message);
      for (const row of message.op === "summary" ? message.rows : []) {
        const one = fresh[byTopic.get(client.channel(row.channel).topic)];
        if (!one) continue;
        const at = row.time_us / 1e6 + interval / 2;
        // An interval without readings is a hole, not a straight line.
        if (one.times.length && at - one.times.at(-1) > 3 * interval) {
          one.times.push(one.times.at(-1) + interval);
          for (const key of ["values", "low", "high"]) one[key].push(null);
        }
        one.times.push(at);
        one.values.push(row.mean ?? numeric(row.last));
        one.low.push(row.min ?? numeric(row.last));
        one.high.push(row.max ?? numeric(row.last));
      }
    }
    series.splice(0, series.length, ...fresh);
    draw();
  };
  const summaries = async () => {
    try { await fetchAll(); } catch (error) { missing.textContent = error.message; }
    if (!isOver) poll = setTimeout(summaries, Math.max(5, interval) * 1000);
  };

  if (!isRaw) summaries();
  else if (store.player) followReplay();
  else follow();
  later();
  const tick = setInterval(later, 1000);
  const resized = () => chart?.setSize({ width: holder.clientWidth - 20, height: chart.height });
  addEventListener("resize", resized);
  return () => {
    isOver = true;
    clearInterval(tick);
    clearTimeout(poll);
    for (const one of subscriptions) one.cancel();
    chart?.destroy();
    removeEventListener("resize", resized);
  };
}
