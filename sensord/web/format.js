// Values, ages and times as people read them.

import { text } from "./text.js";

/** Write a value with its channel's decimals. */
export function shown(value, channel = {}) {
  if (value === null || value === undefined) return "—";
  if (typeof value === "number") {
    if (channel.decimals !== undefined) return value.toFixed(channel.decimals);
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(9)));
  }
  if (typeof value === "boolean") return value ? text.on : text.off;
  return typeof value === "string" ? value : JSON.stringify(value);
}

const UNITS = {
  Cel: "°C", "[degF]": "°F", "kW.h": "kWh", "W.h": "Wh", "V.A": "VA", "ug/m3": "µg/m³", "m3": "m³",
  "[ppm]": "ppm", "[ppb]": "ppb", "[kn_i]": "kn", deg: "°", "dB[mW]": "dBm", "m3/h": "m³/h", Ohm: "Ω",
  "[psi]": "psi", "[pH]": "pH", "A.h": "Ah", "uS/cm": "µS/cm", "W/m2": "W/m²", "[mi_i]/h": "mph",
};

/** Write a UCUM code as people do. */
export const unit = (code = "") => UNITS[code] ?? code.replaceAll(/[{}[\]]/g, "");

/** Write a span of milliseconds. */
export function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 1.5) return text.ago.now;
  if (s < 90) return `${Math.round(s)} ${text.ago.s}`;
  if (s < 5400) return `${Math.round(s / 60)} ${text.ago.m}`;
  if (s < 129600) return `${Math.round(s / 3600)} ${text.ago.h}`;
  return `${Math.round(s / 86400)} ${text.ago.d}`;
}

/** Write a time in the browser's zone, to the second. */
export function clock(us) {
  if (!us) return "—";
  return new Date(us / 1000).toLocaleString(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
    second: "2-digit",
  });
}

/** Write a time in few words: the day only if it is another one. */
export function when(us) {
  if (!us) return "—";
  const time = new Date(us / 1000), clock_ = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  if (time.toDateString() === new Date().toDateString()) return time.toLocaleTimeString(undefined, clock_);
  return time.toLocaleString(undefined, { ...clock_, day: "numeric", month: "short" });
}

/** Write a time in UTC, to the microsecond. */
export function iso(us) {
  const micro = ((us % 1e6) + 1e6) % 1e6;
  return `${new Date((us - micro) / 1000).toISOString().slice(0, 19)}.${String(micro).padStart(6, "0")}Z`;
}

/** Write a cell of a CSV file; a spreadsheet runs a text that begins with a sign as a formula. */
export const cell = (value) => {
  const plain = typeof value === "string" && /^[=+\-@]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
};

/** Make an element: `el("td", { class: "num" }, "5")`. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}

/** Have the browser save a file. */
export function download(name, content) {
  const url = typeof content === "string" ? content : URL.createObjectURL(content);
  el("a", { download: name, href: url }).click();
  if (typeof content !== "string") setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Write a number of bytes. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
  return `${i && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}
