// The JavaScript client of sensord: docs/protocol.md over sensord.v1.json, for browsers and Node.
//
// It reconnects by itself. What stays open resumes at its cursor, so no reading is missing or comes
// twice; a gap names readings that are not available. An act is repeated with its key, so it stays one.

const PROTOCOL = "sensord.v1.json";
const LEVELS = ["good", "uncertain", "bad"];
const TYPES = new Set(["float", "int", "bool", "string", "json"]);
const KINDS = new Set(["state", "event"]);
const FIRST_PAUSE_MS = 250, LONGEST_PAUSE_MS = 5000, BUSY_PAUSE_MS = 5000;
/** A connection that lasts this long resets the pause. */
const STEADY_MS = 10_000;
/** From the first attempt of a connection to the answer to hello. */
const CONNECT_MS = 10_000;
/** After this much silence the client pings the server, which has as long to answer. */
const SILENCE_MS = 10_000;
/** An act whose connection was lost is repeated for this long: later it is no longer wanted. */
const REPEAT_MS = 30_000;
/** Items that wait for a slow reader, before its request is ended and resumed later. */
const MOST_WAITING = 20_000;
const PAGE = 10_000;
/** Close codes after which coming back unchanged is pointless: protocol.md, section 9. */
const isFinal = (code) => [1002, 1003, 1007, 1008, 1009].includes(code) || (code >= 4200 && code < 4300);
const isBusy = (code) => code >= 4100 && code < 4200;
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A refusal, a failure, or a lost connection: `code` is one of protocol.md, or `lost`, `closed`. */
export class SensordError extends Error {
  constructor(code, message, more = {}) {
    super(`${code}: ${message}`);
    Object.assign(this, more, { code });
  }
}

const lost = (more) => new SensordError("lost", "the connection is lost; try again", more);
const broken = (text) => new SensordError("bad_message", text);
const isCount = (value) => Number.isInteger(value) && value >= 0;
const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((one) => one.toString(16).padStart(2, "0")).join("");

/** One connection's side of the protocol: text in, messages and readings out. Knows no socket. */
export class Conversation {
  channels = new Map();
  #streams = new Map();
  #snapshots = new Set();

  /**
   * Read a message: a control message as it is, or `{op: "readings", id, cursor, items}`, or null
   * for a frame of a stream that has ended. Throws `bad_message` for what is neither.
   */
  received(text) {
    let message;
    try { message = JSON.parse(text); } catch { throw broken("not one JSON text"); }
    if (Array.isArray(message)) return this.#frame(message);
    if (message === null || typeof message !== "object" || typeof message.op !== "string")
      throw broken("neither a frame nor a control message");
    const { op, id, stream } = message;
    if (op === "channels") this.#announce(message.channels);
    if (op === "result" && stream !== undefined) this.#carry(stream, id, true);
    if (op === "stream") this.#carry(stream, id, message.phase === "snapshot");
    if (op === "end") this.#forget(id);
    return message;
  }

  #announce(channels) {
    if (!Array.isArray(channels)) throw broken("channels is a list");
    for (const one of channels) {
      const full = { type: "float", unit: "", kind: "state", device: "", description: "", ...one };
      const isRight = isCount(one.channel) && typeof one.topic === "string" && TYPES.has(full.type) &&
        KINDS.has(full.kind) && (one.decimals === undefined || isCount(one.decimals));
      if (!isRight) throw broken(`not a channel: ${JSON.stringify(one)}`);
      if (!this.channels.has(one.channel)) this.channels.set(one.channel, full);
    }
  }

  #carry(stream, id, isSnapshot) {
    this.#forget(id);
    this.#streams.set(stream, id);
    if (isSnapshot) this.#snapshots.add(stream);
  }

  #forget(id) {
    for (const [stream, request] of this.#streams) {
      if (request === id) { this.#streams.delete(stream); this.#snapshots.delete(stream); }
    }
  }

  #frame(frame) {
    const [stream, cursor, start, triples] = frame;
    if (frame.length !== 4 || !isCount(stream) || !(cursor === null || isCount(cursor)) ||
        !Number.isInteger(start) || !Array.isArray(triples) || triples.length % 3)
      throw broken("not a data frame");
    const is_last_value = this.#snapshots.has(stream), items = [];
    for (let i = 0, time = start; i < triples.length; i += 3) {
      const channel = this.channels.get(triples[i]);
      if (channel === undefined || !Number.isInteger(triples[i + 1])) throw broken("not a reading");
      time += triples[i + 1];
      items.push(reading(channel, time, triples[i + 2], is_last_value));
    }
    const id = this.#streams.get(stream);
    return id === undefined ? null : { op: "readings", id, cursor, items };
  }
}

function reading(channel, reported_us, raw, is_last_value) {
  let value = raw, level = 0, reason = "", age = null;
  if (raw !== null && typeof raw === "object" && !Array.isArray(raw)) {
    if ("j" in raw) value = raw.j;
    else {
      value = raw.v ?? null;
      level = raw.q ?? 0;
      reason = raw.r ?? "";
      age = raw.age ?? null;
      if (LEVELS[level] === undefined || typeof reason !== "string" || !(age === null || Number.isInteger(age)))
        throw broken("not a wrapped value");
    }
  }
  return {
    op: "reading", topic: channel.topic, channel, value, quality: LEVELS[level], reason,
    time_us: reported_us - (age ?? 0), reported_us, age, is_last_value,
  };
}

/** A connection that comes back, and what is open on it. */
export class Sensord extends EventTarget {
  #url; #options; #socket = null; #conversation = null; #number = 0;
  #requests = new Map(); // by id: what was asked, and what stays open
  #pause = FIRST_PAUSE_MS; #silence; #timer = null; #watch = null; #limit = null;
  #heardAt = 0; #askedAt = null; #upAt = 0; #isClosed = false;
  #resolveReady; #rejectReady;

  /**
   * `options`: `name` that others see, `key` of an earlier connection, `token`, `groups`, `ephemeral`, `WebSocket`;
   * in ms `longestPause` between attempts and `silence` before a dead link is given up.
   */
  constructor(url, options = {}) {
    super();
    this.#url = url;
    this.#options = { ...options };
    this.#silence = options.silence ?? SILENCE_MS;
    this.state = "connecting";
    this.welcome = null;
    /** The microseconds by which the server's clock is ahead of this one. */
    this.skewUs = 0;
    this.ready = new Promise((resolve, reject) => { this.#resolveReady = resolve; this.#rejectReady = reject; });
    this.ready.catch(() => {}); // whoever waits for it gets it all the same
    globalThis.addEventListener?.("online", this.#hurry);
    this.#connect();
  }

  // -- requests -----------------------------------------------------------------------------------

  /**
   * Make any request and return its result; what follows goes to `listener`. It waits for the first
   * connection, and fails with `lost` when there is none, or when it is lost before the answer.
   */
  async ask(op, fields = {}, listener = null) {
    await this.#available();
    return new Promise((resolve, reject) =>
      this._open(() => ({ op, ...fields }), { resolve, reject, listener, repeats: false }));
  }

  /** Make a request that is answered by several messages; return them all. */
  async collect(op, fields = {}) {
    const found = [];
    return new Promise((resolve, reject) => {
      this.ask(op, fields, (message) => {
        if (message.op === "lost") reject(lost());
        else if (message.op === "closed") reject(message.error);
        else if (message.op === "end" || message.op === "complete") resolve(found);
        else found.push(message);
      }).catch(reject);
    });
  }

  /** Return the server's clock in µs. */
  async ping() { return (await this.ask("ping")).time_us; }

  /** What was announced of a channel: topic, unit, type, decimals, kind, device. */
  channel(number) {
    return this.#conversation?.channels.get(number) ?? { type: "float", unit: "", kind: "state", device: "" };
  }

  // -- readings -----------------------------------------------------------------------------------

  /**
   * Subscribe: `listener` gets `{op: "reading" | "gap" | "stream" | "lost" | "end", …}` until the
   * returned subscription is cancelled. It resumes by itself.
   */
  subscribe(topics, listener, fields = {}) {
    return new Subscription(this, "subscribe", { ...fields, topics }, listener);
  }

  /** Iterate over the readings and gaps of topics: last values or history, then what comes. */
  readings(topics, fields = {}) { return new Readings(this, "subscribe", { ...fields, topics }); }

  /** Iterate over past readings, or with `interval` over summaries; with `follow` also what comes. */
  history(topics, fields = {}) {
    const kind = fields.follow && !fields.interval ? Readings : Past;
    return new kind(this, "history", { ...fields, topics });
  }

  /** Iterate over past readings when they are due; see `Replay`. */
  replay(topics, fields = {}) { return new Replay(this, "replay", { ...fields, topics }); }

  /** Return the last values. */
  async get(topics) {
    const found = await this.collect("get", { topics });
    return found.flatMap((one) => (one.op === "reading" ? [one] : []));
  }

  /** Follow a list of `topics`, `devices` or `clients`: `listener` gets rows, and "again" before all are repeated. */
  list(op, listener, fields = {}) {
    let isFirst = true;
    return this._keep(() => {
      if (!isFirst) listener({ op: "again" });
      isFirst = false;
      return { op, ...fields, follow: true };
    }, listener);
  }

  /** Look at what a device's connection carries, from now on: `listener` gets each sight. It needs the right `admin`. */
  sniff(device, listener) {
    return this._keep(() => ({ op: "sniff", device }), (message) => {
      for (const sight of message.sights ?? []) listener(sight);
    });
  }

  // -- acting -------------------------------------------------------------------------------------

  set(topic, value, fields = {}) { return this.act("set", { topic, value, ...fields }); }

  call(name, args = {}, fields = {}, onPart = () => {}) { return this.act("call", { name, args, ...fields }, onPart); }

  /**
   * Act; return the outcome, throw if it was not done: `may_have_acted` says whether that is sure.
   * After a lost connection it is repeated with its key for half a minute.
   */
  async act(op, fields, onPart = () => {}) {
    await this.#available();
    const asked = { op, key: randomKey(), ...fields }, me = this.welcome.client.id;
    return new Promise((resolve, reject) => {
      const unknown = () => {
        clearTimeout(timer);
        reject(new SensordError("unknown", "the connection was lost; look whether it was done", { may_have_acted: true }));
        return null;
      };
      let timer = null, isLate = false;
      const again = () => { clearTimeout(timer); timer = null; return asked; };
      this._open(() => (isLate || this.welcome.client.id !== me ? unknown() : again()), {
        reject, repeats: true,
        listener: (message) => {
          if (message.op === "part") onPart(message.value, message.number);
          if (message.op === "lost") timer ??= setTimeout(() => { isLate = true; unknown(); }, REPEAT_MS);
          if (message.op === "closed") unknown();
          if (message.op !== "outcome") return;
          if (message.status === "done") resolve(message);
          else reject(new SensordError(message.reason, message.message || "not done", message));
        },
      });
    });
  }

  /** Take the lease on a device, topic or action; returns the lease. */
  async take(subject, duration = 60) { return (await this.ask("take", { subject, duration })).lease; }

  async renew(subject, duration = 60) { return (await this.ask("renew", { subject, duration })).lease; }

  async giveBack(subject) { await this.ask("give_back", { subject }); }

  // -- sharing ------------------------------------------------------------------------------------

  /** Publish a reading on a topic that the configuration opens for clients; returns its offset. */
  async publish(topic, value, fields = {}) { return (await this.ask("publish", { topic, value, ...fields })).offset; }

  /** Write shared state, with `version` only if that is the present one; returns the new version. */
  async put(topic, value, version) {
    return (await this.ask("put", { topic, value, ...(version !== undefined && { version }) })).version;
  }

  /** Forget topics that will not come back; returns them. Their history stays. It needs the right `admin`. */
  async forget(topics) { return (await this.ask("forget", { topics })).topics; }

  async delete(topic, version) {
    return (await this.ask("delete", { topic, ...(version !== undefined && { version }) })).version;
  }

  /** Return shared state as `{version, value, by}`, or null. */
  async shared(topic) {
    const [found] = await this.get([topic]);
    return !found?.value || found.value.deleted ? null : found.value;
  }

  /** Change shared state by a function of its value, which runs again if others wrote meanwhile. */
  async update(topic, change) {
    let present = await this.shared(topic);
    while (true) {
      const value = change(present?.value ?? null);
      try {
        return { value, version: await this.put(topic, value, present?.version ?? 0) };
      } catch (error) {
        if (error.code !== "conflict") throw error;
        present = error.present?.version ? error.present : null;
      }
    }
  }

  /** Send a message; returns its acceptance. `onReceipt` gets the fate at each receiver. */
  async send(to, body, onReceipt = () => {}, fields = {}) {
    await this.#available();
    const asked = { op: "send", key: randomKey(), to, body, ...fields };
    return new Promise((resolve, reject) =>
      this._open(() => asked, {
        resolve, reject, repeats: true,
        listener: (message) => {
          for (const one of message.receipts ?? []) onReceipt(one);
          if (message.op === "closed") reject(this.#over());
        },
      }));
  }

  /** Receive messages: each is handed to `handle` once, and acknowledged when that is done. */
  receive(handle) {
    let me = null, last = null, chain = Promise.resolve();
    return this._keep(() => {
      if (me !== this.welcome.client.id) last = null;
      me = this.welcome.client.id;
      return { op: "receive", ...(last !== null && { after: last }) };
    }, (message) => {
      if (message.op !== "message" || (last !== null && message.message <= last)) return;
      last = message.message;
      chain = chain.then(() => handle(message)).then(() => this.ask("ack", { message: message.message }))
        .catch((error) => { if (error.code !== "lost") this.#report(error); });
    });
  }

  /**
   * Offer a service: `answer(args, call)` returns the value of each call, or throws; `call` has
   * `from`, `timeout` and `part(value)`, which sends a part before. It is offered again by itself.
   */
  serve(name, answer, fields = {}) {
    const one = async ({ call, args, from, timeout }) => {
      const part = async (value) => (await this.ask("yield", { call, value })).receivers;
      let outcome;
      try {
        outcome = { value: (await answer(args, { from, timeout, part })) ?? null };
      } catch (error) {
        const { reason = "failed", may_have_acted = true } = error;
        outcome = { error: { reason: String(reason).slice(0, 40), message: String(error.message).slice(0, 500), may_have_acted } };
      }
      // It was too late, or the connection is lost: the caller has its outcome.
      await this.ask("answer", { call, ...outcome }).catch(() => {});
    };
    return this._keep(() => ({ op: "serve", name, ...fields }), (message) => {
      if (message.op === "request") one(message);
    });
  }

  async groups(join = [], leave = []) { return (await this.ask("groups", { join, leave })).groups; }

  /** End it for good; with `bye`, others see at once that this client is gone. */
  async close({ bye = false } = {}) {
    if (bye && this.state === "up") await this.ask("bye").catch(() => {});
    this.#end(new SensordError("closed", "this client was closed"));
  }

  // -- used by what stays open --------------------------------------------------------------------

  /**
   * Open a request. `opening` returns its fields each time that it is sent, or null to give it up;
   * one that `repeats` is sent again after a lost connection, and one that is `early` right behind hello.
   */
  _open(opening, { resolve = () => {}, reject = () => {}, listener = null, repeats, early = false }) {
    const id = ++this.#number;
    if (this.#isClosed) reject(this.#over());
    else {
      this.#requests.set(id, { id, opening, resolve, reject, listener, repeats, early, isAnswered: false });
      if (this.state === "up") this.#send(id);
    }
    return id;
  }

  /** Keep a request open until the returned `cancel`; `ready` is its first answer, `ended` its end. */
  _keep(opening, listener) {
    let id, isOver = false;
    const kept = {};
    kept.ended = new Promise((end) => {
      kept.ready = new Promise((resolve, reject) => {
        id = this._open(opening, {
          resolve, repeats: true,
          reject: (error) => { reject(error); end(error); },
          listener: (message) => {
            if (isOver) return;
            if (message.op === "end" || message.op === "closed") { isOver = true; end(message.error ?? null); }
            listener(message);
          },
        });
      });
    });
    kept.ready.catch(() => {}); // whoever waits for it gets it all the same
    kept.cancel = () => { isOver = true; this._cancel(id); };
    return kept;
  }

  _cancel(id) {
    const { isSent } = this.#requests.get(id) ?? {};
    if (!this.#requests.delete(id) || !isSent) return;
    this._open(() => ({ op: "cancel", request: id }), { repeats: false });
  }

  // -- the connection -----------------------------------------------------------------------------

  #connect() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) throw new Error("there is no WebSocket: use Node 22, node --experimental-websocket, or pass one as an option");
    const conversation = (this.#conversation = new Conversation());
    const socket = (this.#socket = new Socket(this.#url, PROTOCOL));
    const isCurrent = () => socket === this.#socket;
    this.#limit = setTimeout(() => this.#drop(), CONNECT_MS);
    socket.onopen = () => isCurrent() && this.#hello();
    socket.onclose = ({ code }) => isCurrent() && this.#down(code);
    socket.onerror = () => {}; // a close follows
    socket.onmessage = ({ data }) => {
      if (!isCurrent()) return;
      this.#heardAt = Date.now();
      this.#askedAt = null;
      let message;
      try {
        message = conversation.received(data);
      } catch (error) {
        this.#report(error);
        return this.#drop();
      }
      if (message) this.#received(message);
    };
  }

  #hello() {
    const { name: client = "", key, token, groups, ephemeral } = this.#options;
    const fields = { op: "hello", client, ...(key && { key }), ...(token && { token }),
      ...(groups && { groups }), ...(ephemeral && { ephemeral }) };
    const sent = Date.now(), id = ++this.#number;
    const resolve = (welcome) => {
      clearTimeout(this.#limit);
      this.skewUs = welcome.time_us - (sent + Date.now()) * 500;
      this.welcome = welcome;
      this.#options.key = welcome.client.key;
      delete this.#options.groups; // from now on they are the server's to know
      this.#upAt = Date.now();
      this.#watch = setInterval(() => this.#check(), this.#silence / 2);
      this.#become("up");
      this.#resolveReady(welcome);
      for (const one of [...this.#requests.keys()]) this.#send(one);
    };
    const reject = (error) => {
      if (error.code === "lost") return;
      this.dispatchEvent(Object.assign(new Event("refused"), { error }));
      if (error.code === "unauthorized") this.#end(error);
      else this.#drop();
    };
    this.#requests.set(id, { id, resolve, reject, repeats: false, isAnswered: false, isSent: true });
    transmit(this.#socket, { id, ...fields });
    // What does not depend on the answer follows at once: its first values come a round trip earlier.
    for (const one of [...this.#requests.values()]) if (one.early) this.#send(one.id);
  }

  #send(id) {
    const request = this.#requests.get(id);
    if (!request || request.isSent) return;
    const fields = request.opening();
    if (fields === null) return void this.#requests.delete(id);
    request.isSent = true;
    transmit(this.#socket, { id, ...fields });
  }

  #received(message) {
    const request = this.#requests.get(message.id);
    if (!request) return;
    const { op, id } = message;
    if (op === "readings") {
      for (const one of message.items) request.listener?.(one);
      request.listener?.({ op: "cursor", cursor: message.cursor });
    } else if (op === "result") {
      if (!request.listener) this.#requests.delete(id);
      request.isAnswered = true;
      request.resolve(message);
    } else if (op === "error") {
      this.#requests.delete(id);
      const { code, message: text, present } = message;
      const error = new SensordError(code, text, { present, may_have_acted: false });
      request.reject(error);
    } else {
      if (op === "end") this.#requests.delete(id);
      request.listener?.(message);
    }
  }

  #check() {
    // A dead link gives no sign; a server that does not answer does. A page in the background is
    // asked to wait between its turns, so only the time after a question counts.
    if (this.#askedAt !== null && Date.now() - this.#askedAt >= this.#silence) this.#drop();
    else if (this.#askedAt === null && Date.now() - this.#heardAt >= this.#silence) {
      this.#askedAt = Date.now();
      this._open(() => ({ op: "ping" }), { repeats: false });
    }
  }

  #drop() {
    // Closing waits for the other side, which may be gone.
    const socket = this.#socket;
    this.#down(1006);
    socket.close();
  }

  #down(code) {
    this.#socket = null;
    this.#askedAt = null;
    clearInterval(this.#watch);
    clearTimeout(this.#limit);
    if (this.#isClosed) return;
    if (isFinal(code)) return this.#end(new SensordError("closed", `the server closed the connection with ${code}`, { close: code }));
    if (this.state === "up" && Date.now() - this.#upAt >= STEADY_MS) this.#pause = FIRST_PAUSE_MS;
    if (this.state === "up" || this.state === "connecting") this.#become("down");
    for (const request of [...this.#requests.values()]) {
      if (!request.isSent) continue;
      request.isSent = false;
      if (!request.repeats) this.#requests.delete(request.id);
      if (!request.repeats && !request.isAnswered) request.reject(lost({ may_have_acted: true }));
      request.listener?.({ op: "lost" });
    }
    const pause = isBusy(code) ? BUSY_PAUSE_MS : this.#pause * (0.5 + Math.random() / 2);
    this.#pause = Math.min(this.#options.longestPause ?? LONGEST_PAUSE_MS, this.#pause * 2);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #hurry = () => {
    if (this.#socket || this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#connect();
  };

  #end(error) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.error = error;
    clearTimeout(this.#timer);
    clearTimeout(this.#limit);
    clearInterval(this.#watch);
    globalThis.removeEventListener?.("online", this.#hurry);
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    this.#socket?.close();
    this.#become("closed");
    this.#rejectReady(error);
    for (const { reject, listener, isAnswered } of requests) {
      if (!isAnswered) reject(error);
      listener?.({ op: "closed", error });
    }
  }

  /** Wait for the first connection; later, one that is lost is the caller's to know. */
  async #available() {
    if (this.welcome === null) await this.ready;
    if (this.state !== "up") throw this.#isClosed ? this.#over() : lost({ may_have_acted: false });
  }

  #over() { return this.error ?? new SensordError("closed", "this client was closed"); }

  #report(error) { this.dispatchEvent(Object.assign(new Event("fault"), { error })); }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event(state));
    this.dispatchEvent(new Event("state"));
  }
}

function transmit(socket, message) {
  // A socket that is closing drops it: its close tells what became of it.
  if (socket?.readyState === 1) socket.send(JSON.stringify(message));
}

/** One open stream of readings: where it is, and how it continues after a lost connection. */
class Subscription {
  #client; #op; #fields; #listener; #id = null; #isOver = false; #beganAtTime = true; #changing = null;
  /** Where it would resume: `{epoch, offset}`, or null before the first cursor. */
  position = null;

  constructor(client, op, fields, listener) {
    this.#client = client;
    this.#op = op;
    this.#fields = fields;
    this.#listener = listener;
    this.position = typeof fields.from === "object" && "offset" in fields.from ? fields.from : null;
    this.open();
  }

  open() {
    this.#id = this.#client._open(() => this.request(), {
      repeats: true, early: true,
      resolve: (result) => this.answered(result),
      reject: (error) => this.#finish({ op: "end", error }),
      listener: (item) => this.#received(item),
    });
  }

  request() {
    const from = this.position ?? this.#fields.from ?? (this.#op === "subscribe" ? "snapshot" : undefined);
    return { op: this.#op, ...this.#fields, from };
  }

  answered() { this.#change(); }

  /** Select other topics from now on; those that are new come with their last values first. */
  change(topics, fields = {}) {
    this.#changing = { topics, ...fields };
    if (this.#client.state === "up") this.#change();
  }

  #change() {
    const wanted = this.#changing;
    if (!wanted || this.#isOver) return;
    const { from, ...options } = this.#fields;
    this.#client.ask(this.#op, { ...options, ...wanted, change: this.#id }).then(
      () => {
        Object.assign(this.#fields, wanted);
        if (this.#changing === wanted) this.#changing = null;
      },
      (error) => { if (error.code !== "lost") this.#finish({ op: "end", error }); });
  }

  #received(item) {
    if (this.#isOver) return;
    if (item.op === "cursor" || item.op === "stream") this.#reach(item.cursor);
    if (item.op === "gap") {
      if (item.to === null) this.position = null; // another log: begin again
      // One that began at a time may still get last values that are older than the gap.
      else if (this.position !== null) this.#reach(item.to);
    }
    if (item.op === "end" || item.op === "closed") return this.#finish({ ...item, op: "end" });
    this.#listener(item);
  }

  #reach(offset) {
    if (isCount(offset)) this.position = { epoch: this.#client.welcome.epoch, offset };
  }

  #finish(item) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener(item);
  }

  /** Stop for a while: `open` continues at `position`. */
  hold() { this.#client._cancel(this.#id); }

  get id() { return this.#id; }

  cancel() {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client._cancel(this.#id);
  }
}

/** An iterator over what arrives; bounded by what `hold` and `more` of its heirs do. */
class Inflow {
  #batches = []; #count = 0; #wake = null; #isOver = false; #error = null; #open = null;

  get waiting() { return this.#count; }

  give(items, position) {
    if (this.#isOver) return;
    this.#batches.push({ items, position });
    this.#count += items.length;
    this.#wake?.();
  }

  finish(error = null) {
    this.#isOver = true;
    this.#error = error;
    this.#wake?.();
  }

  clear() { this.#batches = []; this.#count = 0; this.#open = null; }

  /** Return `{items, position}` that came together, or null at the end. */
  async arrived() {
    while (true) {
      const batch = this.#batches.shift();
      if (batch) {
        this.#count -= batch.items.length;
        return batch;
      }
      if (this.#isOver) {
        if (this.#error) throw this.#error;
        return null;
      }
      this.drained();
      await new Promise((wake) => (this.#wake = wake));
    }
  }

  drained() {}

  async next() {
    while (!this.#open?.items.length) {
      const batch = await this.arrived();
      if (!batch) return { done: true, value: undefined };
      this.#open = { items: [...batch.items].reverse(), position: batch.position };
    }
    return { done: false, value: this.#open.items.pop() };
  }

  async return() {
    this.cancel();
    return { done: true, value: undefined };
  }

  cancel() {
    this.finish();
    this.clear();
  }

  [Symbol.asyncIterator]() { return this; }
}

/** Readings and gaps across reconnections. A slow reader makes it fall behind, not grow. */
class Readings extends Inflow {
  #subscription; #items = []; #isBehind = false;

  constructor(client, op, fields) {
    super();
    this.client = client;
    this.fields = fields;
    this.#subscription = new Subscription(client, op, fields, (item) => this.#received(item));
  }

  get id() { return this.#subscription.id; }

  reset() { this.clear(); this.#items = []; this.#subscription.position = null; }

  #received(item) {
    if (item.op === "end") {
      this.#flush();
      return this.#isBehind ? undefined : this.finish(item.error ?? null);
    }
    if (this.#isBehind) return;
    if (item.op === "reading" || item.op === "gap") this.#items.push(item);
    else if (item.op === "lost") this.#items = []; // of a frame that is not complete
    if (item.op === "gap" || item.op === "cursor" || item.op === "stream") this.#flush();
    if (this.waiting > MOST_WAITING && this.#subscription.position !== null) {
      this.#isBehind = true;
      this.#subscription.hold();
    }
  }

  #flush() {
    if (this.#items.length) this.give(this.#items, this.#subscription.position);
    this.#items = [];
  }

  drained() {
    if (!this.#isBehind) return;
    this.#isBehind = false;
    this.#subscription.open();
  }

  cancel() {
    this.#subscription.cancel();
    super.cancel();
  }
}

/** A replay: past readings when they are due. After a lost connection it continues as it was. */
class Replay extends Readings {
  async pause() {
    await this.client.ask("pause", { replay: this.id });
    this.fields.paused = true;
  }

  async go(speed = this.fields.speed ?? 1) {
    await this.client.ask("speed", { replay: this.id, speed });
    Object.assign(this.fields, { speed, paused: false });
  }

  async step(count = 1) {
    await this.client.ask("step", { replay: this.id, count });
    this.fields.paused = true;
  }

  async seek(from) {
    await this.client.ask("seek", { replay: this.id, from });
    // Everything before the answer was from the old place.
    this.fields.from = from;
    this.reset();
  }
}

/** Past readings, page by page as they are read; or summaries, each interval whole and once. */
class Past extends Inflow {
  #client; #fields; #id = null; #from; #to; #left; #rows = []; #isOver = false; #wantsMore = false;

  constructor(client, op, fields) {
    super();
    this.#client = client;
    this.#fields = fields;
    this.#from = fields.from;
    this.#to = fields.to;
    this.#left = fields.limit ?? Infinity;
    this.#open();
  }

  #open() {
    this.#wantsMore = false;
    this.#id = this.#client._open(() => this.#request(), {
      repeats: true,
      resolve: (result) => this.#answered(result),
      reject: (error) => this.#end(error),
      listener: (message) => this.#received(message),
    });
  }

  #request() {
    this.#rows = [];
    const { follow } = this.#fields;
    const limit = follow ? {} : { limit: Math.min(this.#left, PAGE) };
    return { op: "history", ...this.#fields, ...limit, from: this.#from, ...(this.#to !== undefined && { to: this.#to }) };
  }

  #answered({ epoch, offset, time_us }) {
    // Later pages end where the first would have.
    if (this.#fields.follow || epoch === undefined) return;
    if (this.#to === undefined) this.#to = { epoch, offset };
    else if (typeof this.#to === "string") this.#to = { time_us: time_us - ago(this.#to), ago: true };
  }

  #received(message) {
    const { op, cursor } = message;
    if (op === "reading" || op === "gap") this.#rows.push(message);
    if (op === "summary")
      for (const row of message.rows) this.#rows.push({ op: "row", topic: this.#client.channel(row.channel).topic, ...row, channel: this.#client.channel(row.channel) });
    if (op === "complete") this.#rows.push({ op });
    if (op === "lost") this.#rows = [];
    if (op === "closed") return this.#end(message.error);
    if (op === "cursor" || op === "summary" || op === "complete" || op === "end") this.#reach(cursor);
    if (op !== "end") return;
    if (message.error || message.complete !== false || this.#left <= 0) this.#end(message.error ?? null);
    else { this.#wantsMore = true; if (!this.waiting) this.drained(); }
  }

  #reach(offset) {
    // Without a cursor more rows of the same interval follow: all of them are handed out together.
    if (!isCount(offset)) return;
    this.#from = { epoch: this.#client.welcome.epoch, offset };
    if (!this.#rows.length) return;
    if (this.#fields.limit !== undefined)
      this.#left -= this.#fields.interval === undefined
        ? this.#rows.filter(({ op }) => op === "reading").length
        : new Set(this.#rows.filter(({ op }) => op === "row").map((row) => row.time_us)).size;
    this.give(this.#rows, this.#from);
    this.#rows = [];
  }

  drained() { if (this.#wantsMore && !this.#isOver) this.#open(); }

  #end(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#rows.length) this.give(this.#rows, null);
    this.finish(error);
  }

  cancel() {
    this.#isOver = true;
    this.#client._cancel(this.#id);
    super.cancel();
  }
}

function ago(text) {
  const found = /^-(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (!found) throw new SensordError("bad_request", `not a time: ${text}`);
  return Math.round(found[1] * SECONDS[found[2]] * 1e6);
}
