// One chart of one or two topics: its axes, its holes with their reasons, and itself as a picture.

import { clock, el, shown, unit } from "./format.js";
import { text } from "./text.js";

const DAY_S = 86_400;
const LABEL_PX = 90;

let library = null;
/** Load the library of charts, once. */
export const charts = () => (library ??= new Promise((resolve, reject) => {
  document.head.append(
    el("link", { rel: "stylesheet", href: "/web/vendor/uPlot.min.css" }),
    el("script", { src: "/web/vendor/uPlot.iife.min.js", onload: resolve, onerror: () => {
      library = null;
      reject(new Error(text.noCharts));
    } }));
}));

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const written = (options) => new Intl.DateTimeFormat(undefined, options);
const FORMATS = {
  second: written({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
  minute: written({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  day: written({ day: "numeric", month: "short" }),
  month: written({ month: "short", year: "numeric" }),
};

/** The times beside an axis: the day stands below the first one and below those that begin a day. */
const times = (_, splits, axis, space, step) => {
  if (step >= 28 * DAY_S) return splits.map((at) => FORMATS.month.format(at * 1000));
  if (step >= DAY_S) return splits.map((at) => FORMATS.day.format(at * 1000));
  const form = step < 60 ? FORMATS.second : FORMATS.minute;
  let last = null;
  return splits.map((at) => {
    const day = FORMATS.day.format(at * 1000), isNew = day !== last;
    last = day;
    return isNew ? `${form.format(at * 1000)}\n${day}` : form.format(at * 1000);
  });
};

export class Chart {
  #plot = null; #holes = [];

  /** `metadata(i)` describes a topic; `onZoom(from, to)` gets what somebody has marked, in seconds. */
  constructor(holder, { topics, metadata, hasBand, onZoom }) {
    Object.assign(this, { holder, topics, metadata, hasBand, onZoom });
  }

  /** Draw `[times, …values]` between two times; a hole is `{from, to, reason}`. */
  draw(data, scale, holes) {
    this.#holes = holes;
    if (!this.#plot) return this.#build(data, scale);
    this.#plot.setData(data, false);
    this.#plot.setScale("x", scale);
  }

  #build(data, scale) {
    const { topics, metadata, holder } = this;
    const colors = [color("--spark"), color("--uncertain")], soft = color("--soft"), line = color("--line");
    const digits = (i) => (_, number) => (number === null || number === undefined ? "—" : `${shown(number, metadata(i))} ${unit(metadata(i).unit)}`);
    const lines = [{ label: text.time, value: (_, at) => (at === null ? "—" : clock(at * 1e6)) }];
    topics.forEach((name, i) => {
      lines.push({ label: name, stroke: colors[i % 2], width: 1.5, scale: `y${i}`, value: digits(i), spanGaps: false });
      if (this.hasBand && i === 0) lines.push(
        { label: text.low, scale: "y0", value: digits(0), stroke: "transparent", points: { show: false } },
        { label: text.high, scale: "y0", value: digits(0), stroke: "transparent", points: { show: false } });
    });
    const isNarrow = holder.clientWidth < 500;
    const axis = (i) => ({ scale: `y${i}`, side: i ? 1 : 3, stroke: soft, label: isNarrow ? undefined : unit(metadata(i).unit), size: isNarrow ? 44 : 64, grid: { show: !i, stroke: line, width: 1 } });
    holder.replaceChildren();
    this.#plot = new uPlot({
      ...this.#size(), series: lines,
      // What is marked becomes the range, with finer values; it is not only drawn larger.
      cursor: { drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, min: scale.min, max: scale.max } },
      axes: [{ stroke: soft, grid: { stroke: line, width: 1 }, values: times, space: 70 }, ...topics.map((_, i) => axis(i))],
      bands: this.hasBand ? [{ series: [3, 2], fill: `${colors[0]}2e` }] : [],
      hooks: {
        drawClear: [(plot) => this.#drawHoles(plot)],
        setSelect: [({ select, posToVal }) => select.width > 4
          && this.onZoom(posToVal(select.left, "x"), posToVal(select.left + select.width, "x"))],
      },
    }, data, holder);
    this.#plot.setScale("x", scale);
    const canvas = holder.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", topics.join(", "));
  }

  #size() {
    return { width: this.holder.clientWidth - 20, height: Math.max(260, Math.min(innerHeight * 0.55, 640)) };
  }

  #drawHoles(plot) {
    const { ctx: pen, bbox } = plot, ratio = devicePixelRatio || 1;
    pen.save();
    pen.beginPath();
    pen.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    pen.clip();
    for (const { from, to, reason } of this.#holes) {
      const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(to ?? plot.scales.x.max, "x", true));
      if (right <= bbox.left || left >= right) continue;
      pen.fillStyle = color("--hole");
      pen.fillRect(left, bbox.top, Math.max(ratio, right - left), bbox.height);
      if (right - left < LABEL_PX * ratio) continue;
      pen.fillStyle = color("--soft");
      pen.font = `${12 * ratio}px sans-serif`;
      pen.textBaseline = "top";
      pen.fillText(reason, left + 6 * ratio, bbox.top + 6 * ratio, right - left - 8 * ratio);
    }
    pen.restore();
  }

  /** The chart with its topics and times, as the address of a picture. */
  picture() {
    const canvas = this.holder.querySelector("canvas"), ratio = devicePixelRatio || 1, head = 52 * ratio;
    if (!canvas) return null;
    const whole = el("canvas", { width: canvas.width, height: canvas.height + head });
    const pen = whole.getContext("2d"), { min, max } = this.#plot.scales.x;
    pen.fillStyle = color("--panel");
    pen.fillRect(0, 0, whole.width, whole.height);
    pen.font = `600 ${15 * ratio}px sans-serif`;
    let left = 12 * ratio;
    this.topics.forEach((name, i) => {
      pen.fillStyle = color(i ? "--uncertain" : "--spark");
      pen.fillText(name, left, 20 * ratio);
      left += pen.measureText(name).width + 24 * ratio;
    });
    pen.font = `${12 * ratio}px sans-serif`;
    pen.fillStyle = color("--soft");
    pen.fillText(`${clock(min * 1e6)} – ${clock(max * 1e6)}`, 12 * ratio, 40 * ratio);
    pen.drawImage(canvas, 0, head);
    return whole.toDataURL("image/png");
  }

  resize() { this.#plot?.setSize(this.#size()); }

  /** Take the chart away; `note` stands in its place. */
  clear(note) {
    this.#plot?.destroy();
    this.#plot = null;
    this.holder.replaceChildren(...(note ? [el("p", { class: "note" }, note)] : []));
  }
}
