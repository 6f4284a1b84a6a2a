/** Types of the JavaScript client; the messages are those of docs/protocol.md. */

export interface Channel {
  channel: number;
  topic: string;
  type: "float" | "int" | "bool" | "string" | "json";
  unit: string;
  kind: "state" | "event";
  device: string;
  decimals?: number;
  description?: string;
}

export interface Reading {
  op: "reading";
  topic: string;
  channel: Channel;
  value: unknown;
  quality: "good" | "uncertain" | "bad";
  reason: string;
  /** Microseconds since 1970: the value's own time. */
  time_us: number;
  /** Of a value that is not new: microseconds from its time to when it was reported again. */
  age: number | null;
}

export interface Gap {
  op: "gap";
  from: number | null;
  to: number | null;
  reason: string;
  count: number | null;
  lost: Record<string, number> | null;
}

export interface Other {
  op: "stream" | "lost" | "end";
  error?: SensordError;
  [field: string]: unknown;
}

export type Item = Reading | Gap | Other;

export interface Options {
  name?: string;
  key?: string;
  token?: string;
  WebSocket?: unknown;
}

export class SensordError extends Error {
  code: string;
  present?: unknown;
  may_have_acted?: boolean;
}

export interface Subscription {
  cancel(): void;
}

export class Sensord extends EventTarget {
  constructor(url: string, options?: Options);
  readonly state: "connecting" | "up" | "down" | "closed";
  readonly welcome: Record<string, unknown> | null;
  readonly ready: Promise<unknown>;
  readonly skewUs: number;
  ask(op: string, fields?: object, tell?: (message: any) => void): Promise<any>;
  collect(op: string, fields?: object): Promise<any[]>;
  subscribe(topics: string[], tell: (item: Item) => void, fields?: object): Subscription;
  readings(topics: string[], fields?: object): AsyncGenerator<Reading | Gap>;
  act(op: string, fields: object, onPart?: (value: unknown) => void): Promise<any>;
  set(topic: string, value: unknown, fields?: object): Promise<any>;
  call(name: string, args?: object, fields?: object): Promise<any>;
  channel(number: number): Channel;
  close(): void;
}
