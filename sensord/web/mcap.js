// Readings as a file that Foxglove, PlotJuggler and sensord read: docs/recordings.md, MCAP.
// Without chunks, which need no index for files of this size.

const MAGIC = Uint8Array.of(0x89, 0x4d, 0x43, 0x41, 0x50, 0x30, 0x0d, 0x0a);
const HEADER = 1, FOOTER = 2, SCHEMA = 3, CHANNEL = 4, MESSAGE = 5, DATA_END = 15;
const TYPES = { float: "number", int: "integer", bool: "boolean", string: "string" };
const encoder = new TextEncoder();

class Bytes {
  #parts = []; size = 0;

  add(...parts) {
    for (const part of parts) { this.#parts.push(part); this.size += part.length; }
    return this;
  }

  number(width, value) {
    const view = new DataView(new ArrayBuffer(width));
    if (width === 8) view.setBigUint64(0, BigInt(value), true);
    else if (width === 4) view.setUint32(0, value, true);
    else view.setUint16(0, value, true);
    return this.add(new Uint8Array(view.buffer));
  }

  text(value) {
    const encoded = encoder.encode(value);
    return this.number(4, encoded.length).add(encoded);
  }

  map(pairs) {
    const inner = new Bytes();
    for (const [key, value] of pairs) inner.text(key).text(value);
    return this.number(4, inner.size).add(...inner.parts);
  }

  get parts() { return this.#parts; }

  whole() {
    const all = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.#parts) { all.set(part, at); at += part.length; }
    return all;
  }
}

const record = (opcode, body) =>
  new Bytes().add(Uint8Array.of(opcode)).number(8, body.size).add(...body.parts).whole();

/** Gathers readings; `file` ends it. */
export class McapFile {
  #parts = [MAGIC, record(HEADER, new Bytes().text("").text("sensord page"))];
  #schemas = new Map(); #channels = new Map(); #sequence = 0;

  /** Append a reading, as the client gives it. */
  add({ topic, channel, value, quality, reason, time_us, reported_us, age }) {
    const payload = { value, ...(quality !== "good" && { quality, reason }), ...(age !== null && { restated: true }) };
    const data = encoder.encode(JSON.stringify(payload));
    this.#parts.push(record(MESSAGE, new Bytes().number(2, this.#channel(topic, channel))
      .number(4, this.#sequence++ % 2 ** 32).number(8, BigInt(reported_us) * 1000n)
      .number(8, BigInt(time_us) * 1000n).add(data)));
  }

  #channel(topic, { type, kind, unit, decimals, description, device }) {
    const facts = { type, kind, unit, decimals: decimals === undefined ? "" : String(decimals), description, device };
    const known = Object.entries(facts).filter(([, value]) => value);
    const key = JSON.stringify([topic, known]);
    if (!this.#channels.has(key)) {
      const number = this.#channels.size + 1, schema = this.#schema(type);
      this.#channels.set(key, number);
      this.#parts.push(record(CHANNEL, new Bytes().number(2, number).number(2, schema).text(topic).text("json").map(known)));
    }
    return this.#channels.get(key);
  }

  #schema(type) {
    if (!this.#schemas.has(type)) {
      const number = this.#schemas.size + 1;
      const properties = { ...(TYPES[type] && { value: { type: TYPES[type] } }), quality: { type: "string" }, reason: { type: "string" }, restated: { type: "boolean" } };
      this.#schemas.set(type, number);
      this.#parts.push(record(SCHEMA, new Bytes().number(2, number).text(`sensord.${type}`).text("jsonschema")
        .text(JSON.stringify({ type: "object", properties, required: ["value"] }))));
    }
    return this.#schemas.get(type);
  }

  file() {
    const end = [record(DATA_END, new Bytes().number(4, 0)), record(FOOTER, new Bytes().number(8, 0).number(8, 0).number(4, 0)), MAGIC];
    return new Blob([...this.#parts, ...end], { type: "application/octet-stream" });
  }
}
