/** Types of the JavaScript client; the messages are those of docs/protocol.md. */

export interface Channel {
  channel: number;
  topic: string;
  type: "float" | "int" | "bool" | "string" | "json";
  unit: string;
  kind: "state" | "event";
  device: string;
  description: string;
  decimals?: number;
}

export interface Position {
  epoch: string;
  offset: number;
}

/** A position, a time, or a duration back from now such as "-10m". */
export type Place = Position | { time_us: number; ago?: boolean } | string;

export interface Reading {
  op: "reading";
  topic: string;
  channel: Channel;
  value: any;
  quality: "good" | "uncertain" | "bad";
  reason: string;
  /** Microseconds since 1970: the value's own time. */
  time_us: number;
  /** When it was reported: later than `time_us` for a value that is not new. */
  reported_us: number;
  /** Of a value that is not new: microseconds from its time to when it was reported again. */
  age: number | null;
  /** Whether it comes from the snapshot. */
  is_last_value: boolean;
}

export interface Gap {
  op: "gap";
  from: number | null;
  to: number | null;
  reason: "expired" | "missing" | "epoch_changed" | "ahead" | "conflated" | (string & {});
  count: number | null;
  lost: Record<string, number> | null;
  detail?: string;
}

/** The summary of one channel's readings in one interval. */
export interface Row {
  op: "row";
  topic: string;
  channel: Channel;
  time_us: number;
  count: number;
  first: any;
  last: any;
  min?: number;
  max?: number;
  mean?: number | null;
}

export interface Stream {
  op: "stream";
  phase: "snapshot" | "catching_up" | "lagging" | "live" | "replaying" | "paused";
  cursor: number | null;
  reason?: string;
}

export type Item = Reading | Gap | Stream | { op: "cursor"; cursor: number | null } | { op: "lost" } | { op: "end"; error?: SensordError };

export interface Options {
  /** What others see. */
  name?: string;
  /** The key of an earlier connection: this client is then the same one. */
  key?: string;
  token?: string;
  groups?: string[];
  /** Without a grace time: gone with its connection. */
  ephemeral?: boolean;
  /** Milliseconds. */
  longestPause?: number;
  /** Milliseconds without a sign of the server, before it is asked for one and again before it is given up. */
  silence?: number;
  /** Instead of the global one, which Node has from 22 on. */
  WebSocket?: new (url: string, protocol: string) => any;
}

export interface SubscribeOptions {
  from?: "snapshot" | "now" | Place;
  mode?: "every" | "latest";
  period?: number;
  max_latency?: number;
  deadband?: number;
}

export interface Outcome {
  status: "done";
  value?: any;
}

export interface Lease {
  subject: string;
  holder: Peer;
  since_us: number;
  until_us: number;
}

export interface Peer {
  id: string;
  name: string;
}

export interface Shared {
  version: number;
  value: any;
  by: Peer;
}

export interface Message {
  op: "message";
  message: number;
  from: Peer;
  to: Receiver;
  time_us: number;
  body: any;
}

export type Receiver = { client: string } | { group: string } | { watching: string };

export interface Receipt {
  client: string;
  status: "away" | "delivered" | "expired" | "refused";
  reason?: string;
}

export interface Call {
  from: Peer;
  /** Seconds that are left. */
  timeout: number;
  /** Send a part of the answer before it; returns how many received it. */
  part(value: unknown): Promise<number>;
}

export interface Welcome {
  server: string;
  session: string;
  client: { id: string; key: string };
  epoch: string;
  offset: number;
  time_us: number;
  limits: Record<string, number>;
  /** What this session may do: filters by action. With `admin` everything is allowed. */
  rights: Record<"read" | "write" | "call" | "send" | "serve", string[]> & { admin: boolean };
}

export class SensordError extends Error {
  constructor(code: string, message: string, more?: object);
  code: string;
  /** Whether an act that failed may have been done; missing where nothing was to be done. */
  may_have_acted?: boolean;
  /** The present state, in a `conflict`. */
  present?: Shared;
  /** The close code with which the server ended the connection for good. */
  close?: number;
}

export interface Subscription {
  readonly id: number;
  /** Where it would resume. */
  readonly position: Position | null;
  /** Select other topics; new ones come with their last values first. */
  change(topics: string[], options?: SubscribeOptions): void;
  cancel(): void;
}

/** A request that stays open across reconnections. */
export interface Kept {
  /** Its first answer. */
  ready: Promise<object>;
  /** Its end: null, or the error that ended it. */
  ended: Promise<SensordError | null>;
  cancel(): void;
}

export interface Inflow<T> extends AsyncIterableIterator<T> {
  /** How many items wait to be read. */
  readonly waiting: number;
  /** Items that came together with the position behind them, to be saved when they are handled; null at the end. */
  arrived(): Promise<{ items: T[]; position: Position | null } | null>;
  cancel(): void;
}

export interface Readings extends Inflow<Reading | Gap> {
  readonly id: number;
}

export interface Replay extends Readings {
  pause(): Promise<void>;
  /** Continue, at another speed if one is given. */
  go(speed?: number): Promise<void>;
  /** Receive the next readings at once, and pause. */
  step(count?: number): Promise<void>;
  seek(from: Place): Promise<void>;
}

/** What was seen of a device's connection; docs/protocol.md, section 3.12. */
export type Sight = { time_us: number } & (
  | { what: "received" | "sent" | "message"; hex: string; bytes?: number; source?: string; retained?: true }
  | { what: "value"; topic: string; value: null | boolean | number | string; text?: string; unit?: string; level?: 1 | 2; reason?: string }
  | { what: "fault"; reason: string; detail: string }
  | { what: "up" | "down"; detail: string }
  | { what: "dropped"; count: number }
);

/** One connection's side of the protocol, without a socket. */
export class Conversation {
  readonly channels: Map<number, Channel>;
  received(text: string): any;
}

export class Sensord extends EventTarget {
  constructor(url: string, options?: Options);
  readonly state: "connecting" | "up" | "down" | "closed";
  readonly welcome: Welcome | null;
  /** Why it is closed. */
  readonly error?: SensordError;
  /** Resolves with the first connection; rejects if the server refuses this client for good. */
  readonly ready: Promise<Welcome>;
  /** Microseconds by which the server's clock is ahead. */
  readonly skewUs: number;

  subscribe(topics: string[], listener: (item: Item) => void, options?: SubscribeOptions): Subscription;
  readings(topics: string[], options?: SubscribeOptions): Readings;
  history(topics: string[], options: { from: Place; to?: Place; limit?: number }): Inflow<Reading | Gap>;
  history(topics: string[], options: { from: Place; follow: true }): Readings;
  history(topics: string[], options: { from: Place; to?: Place; limit?: number; interval: number; follow?: boolean }): Inflow<Row | Gap | { op: "complete" }>;
  replay(topics: string[], options: { from: Place; to?: Place; speed?: number; paused?: boolean }): Replay;
  get(topics: string[]): Promise<Reading[]>;
  list(op: "topics" | "devices" | "clients", listener: (message: any) => void, fields?: { topics?: string[] }): Kept;
  /** Look at what a device's connection carries; it needs the right `admin`. */
  sniff(device: string, listener: (sight: Sight) => void): Kept;
  channel(number: number): Channel;

  set(topic: string, value: unknown, options?: { key?: string; timeout?: number }): Promise<Outcome>;
  call(name: string, args?: Record<string, unknown>, options?: { key?: string; timeout?: number }, onPart?: (value: any, number: number) => void): Promise<Outcome>;
  act(op: "set" | "call", fields: object, onPart?: (value: any, number: number) => void): Promise<Outcome>;
  take(subject: string, duration?: number): Promise<Lease>;
  renew(subject: string, duration?: number): Promise<Lease>;
  giveBack(subject: string): Promise<void>;

  publish(topic: string, value: unknown, options?: { time_us?: number }): Promise<number>;
  put(topic: string, value: unknown, version?: number): Promise<number>;
  /** Forget topics that will not come back; it needs the right `admin`. */
  forget(topics: string[]): Promise<string[]>;
  delete(topic: string, version?: number): Promise<number>;
  shared(topic: string): Promise<Shared | null>;
  update(topic: string, change: (value: any) => unknown): Promise<{ value: any; version: number }>;

  send(to: Receiver, body: unknown, onReceipt?: (receipt: Receipt) => void, options?: { key?: string; wait?: number }): Promise<{ message: number | null; receivers: number; time_us: number; repeated: boolean }>;
  receive(handle: (message: Message) => unknown): Kept;
  groups(join?: string[], leave?: string[]): Promise<string[]>;
  serve(name: string, answer: (args: Record<string, any>, call: Call) => unknown, options?: { description?: string; timeout?: number }): Kept;

  ask(op: string, fields?: object, listener?: ((message: any) => void) | null): Promise<any>;
  collect(op: string, fields?: object): Promise<any[]>;
  ping(): Promise<number>;
  close(options?: { bye?: boolean }): Promise<void>;
}
