// A live node for tests, and the network to it: topics with history and keys, sessions, and every way to break.

import { CODE } from "../src/codes.ts";
import { concat, encodePipeFrame, encodeVarint, LANE_CONTROL, LANE_TOPICS } from "../src/frame.ts";
import * as wire from "../src/wire.ts";

/** What a node remembers of one topic. */
export interface Log {
  epoch: bigint;
  newest: number;
  history: { offset: number; payload: Uint8Array }[];
  keys: Map<string, number>;
}


/** Numbers that follow from a seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export class LiveNode {
  readonly logs = new Map<string, Log>();
  readonly sockets = new Set<NodeSocket>();
  historyMax = 20;
  newcomer = 5;
  /** Whether connections can be made. */
  reachable = true;
  /** What becomes of a publication before (`refused`) or after (`unsure`) it was made; `undefined` all is well. */
  mood: () => { kind: "refused" | "unsure"; code: number; retryAfterMs: number } | undefined = () => undefined;
  /** Whether a publication reaches its readers twice. */
  doubles: () => boolean = () => false;
  /** How long bytes take, ms. */
  delay: () => number = () => 5;
  /** The class that a client makes its connections with. */
  readonly WebSocket: unknown;
  /** Every token that it heard. */
  tokens: string[] = [];
  /** Whether a session that it does not know gets its topics back with the Hello. */
  restoresUnknown = true;
  refusesToken: ((token: string) => number | undefined) | undefined;
  /** Who is in every topic. */
  members = new Map<string, wire.Member>();
  /** What it was told to show of its readers, in order. */
  metas: string[] = [];
  /** How often it told a reader that history is gone. */
  resetsTold = 0;
  private sessions = new Map<string, number>();
  private epochs = 0n;
  private ids = 0;

  constructor() {
    const node = this;
    this.WebSocket = class extends NodeSocket {
      constructor(url: string, protocols: string[]) {
        super(node, url, protocols);
      }
    };
  }

  log(topic: string): Log {
    let log = this.logs.get(topic);
    if (log === undefined) this.logs.set(topic, (log = { epoch: ++this.epochs, newest: 0, history: [], keys: new Map() }));
    return log;
  }

  /** A publication by a person (with a key) or a service: its offset. */
  publish(topic: string, payload: wire.Payload, key = ""): number {
    const log = this.log(topic);
    const known = key === "" ? undefined : log.keys.get(key);
    if (known !== undefined) return known;
    log.newest += 1;
    if (key !== "") log.keys.set(key, log.newest);
    const entry = { offset: log.newest, payload: wire.Payload.encode(payload) };
    log.history.push(entry);
    if (log.history.length > this.historyMax) log.history.shift();
    const times = this.doubles() ? 2 : 1;
    for (const socket of this.sockets) for (let i = 0; i < times && socket.reads.has(topic); i++) socket.publication(topic, entry);
    return log.newest;
  }

  /** The topic's history is lost: readers are told. */
  reset(topic: string): void {
    const log = this.log(topic);
    this.logs.set(topic, { epoch: ++this.epochs, newest: 0, history: [], keys: log.keys });
    for (const socket of this.sockets) if (socket.reads.has(topic)) socket.reply(0, { case: "subscribed", value: this.subscribed(socket, topic, undefined, false) });
  }

  watched(socket: NodeSocket, id: number, topic: string): void {
    const members = [...this.members.values()];
    socket.reply(id, { case: "presenceState", value: { topic, alias: socket.alias(topic), count: members.length, listed: true, members } });
  }

  /** Somebody comes, changes or (without a member) goes, and every watcher is told. */
  present(topic: string, user: string, member: wire.Member | undefined): void {
    const known = this.members.has(user);
    if (member === undefined) this.members.delete(user);
    else this.members.set(user, member);
    const diff = { count: this.members.size, listed: true, joined: member && !known ? [member] : [], changed: member && known ? [member] : [], left: member ? [] : [user] };
    for (const socket of this.sockets) if (socket.reads.has(topic)) socket.reply(0, { case: "presenceDiff", value: { alias: socket.alias(topic), ...diff } });
  }

  /** The process is another one: sessions are gone, topics are not. */
  restart(): void {
    this.sessions.clear();
    this.dropAll();
  }

  dropAll(): void {
    for (const socket of [...this.sockets]) socket.drop();
  }

  greet(socket: NodeSocket, { token, resume }: { token: string; resume: { session: string; generation: number; topics: wire.TopicPosition[] } | undefined }): void {
    this.tokens.push(token);
    const refusal = this.refusesToken?.(token);
    if (refusal !== undefined) return socket.link({ case: "refused", value: { code: refusal, message: "", retryAfterMs: 0 } });
    const known = resume !== undefined && this.sessions.has(resume.session);
    const session = known ? resume.session : `ses_${++this.ids}`;
    const generation = known ? resume.generation : 1;
    this.sessions.set(session, generation);
    socket.link({ case: "welcome", value: { protocol: 1, session, secret: new Uint8Array(16), generation, clockId: 1n, tick0Us: 0, tickHz: 0, resumed: known, received: [], lost: [] } });
    for (const { topic, epoch, offset } of known || this.restoresUnknown ? (resume?.topics ?? []) : []) {
      const since = epoch === 0n ? undefined : { epoch, offset };
      this.read(socket, 0, { topic, since });
    }
  }

  read(socket: NodeSocket, id: number, { topic, since }: { topic: string; since: { epoch: bigint; offset: number } | undefined }): void {
    if (topic.startsWith("closed")) return socket.reply(id, { case: "failed", value: { code: CODE.SubscribeForbidden, message: "", retryAfterMs: 0 } });
    if (socket.reads.has(topic)) return socket.reply(id, { case: "failed", value: { code: CODE.AlreadySubscribed, message: "", retryAfterMs: 0 } });
    socket.alias(topic);
    const log = this.log(topic);
    const reaches = since !== undefined && since.epoch === log.epoch && since.offset <= log.newest && (log.history[0]?.offset ?? log.newest + 1) <= since.offset + 1;
    const info = this.subscribed(socket, topic, reaches ? since.offset : undefined, since === undefined || reaches);
    socket.reply(id, { case: "subscribed", value: info });
    for (const entry of log.history.slice(log.history.length - info.replayed)) socket.publication(topic, entry);
  }

  private subscribed(socket: NodeSocket, topic: string, from: number | undefined, recovered: boolean): wire.Subscribed {
    const { epoch, newest, history } = this.log(topic);
    if (!recovered) this.resetsTold += 1;
    const replayed = from === undefined ? Math.min(this.newcomer, history.length) : newest - from;
    return { topic, alias: socket.alias(topic), epoch, offset: newest, recovered, replayed };
  }
}

/** One connection, seen from both ends. */
export class NodeSocket {
  binaryType = "";
  readyState = 0;
  bufferedAmount = 0;
  protocol = "";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly reads = new Map<string, number>();
  /** It takes everything and says nothing, as behind a router that forgot it. */
  mute = false;
  private aliases = 0;
  /** What is on its way arrives in order, each way by itself. */
  private arrives = { up: 0, down: 0 };

  constructor(private readonly node: LiveNode, readonly url: string, protocols: string[]) {
    setTimeout(() => {
      if (!node.reachable) return this.end(1006);
      this.readyState = 1;
      this.protocol = "amphi.v1+hello";
      node.sockets.add(this);
      this.onopen?.({} as never);
      this.hello(Buffer.from(protocols.at(-1)!.slice("amphi.hello.".length), "base64url"));
    }, node.delay());
  }

  alias(topic: string): number {
    const alias = this.reads.get(topic) ?? ++this.aliases;
    this.reads.set(topic, alias);
    return alias;
  }

  send(frame: Uint8Array): void {
    const copy = frame.slice();
    this.later("up", () => this.heard(copy));
  }

  close(code = 1000): void {
    this.node.sockets.delete(this);
    this.readyState = 3;
    void code;
  }

  /** The connection breaks: what is on its way is lost. */
  drop(): void {
    if (this.node.sockets.delete(this)) this.end(1006);
  }

  link(kind: wire.Link["kind"]): void {
    this.tell(LANE_CONTROL, concat(Uint8Array.of(0), wire.Link.encode({ kind })));
  }

  control(kind: wire.Control["kind"]): void {
    this.tell(LANE_CONTROL, concat(Uint8Array.of(1), wire.Control.encode({ kind })));
  }

  reply(id: number, kind: wire.TopicReply["kind"]): void {
    this.tell(LANE_TOPICS, concat(Uint8Array.of(0), wire.TopicReply.encode({ id, kind })));
  }

  publication(topic: string, { offset, payload }: { offset: number; payload: Uint8Array }): void {
    this.tell(LANE_TOPICS, concat(Uint8Array.of(1), encodeVarint(this.alias(topic)), encodeVarint(offset), Uint8Array.of(0), payload));
  }

  private hello(bytes: Uint8Array): void {
    const { kind } = wire.Link.decode(bytes.subarray(1));
    if (kind.case === "hello") this.node.greet(this, kind.value);
  }

  private heard(frame: Uint8Array): void {
    if (frame[0] === LANE_CONTROL && frame[1] === 0) {
      const { kind } = wire.Link.decode(frame.subarray(2));
      if (kind.case === "ping") this.link({ case: "pong", value: { t0Us: kind.value.t0Us, t1Us: kind.value.t0Us, t2Us: kind.value.t0Us, tick0Us: 0 } });
    } else if (frame[0] === LANE_CONTROL) {
      const { kind } = wire.Control.decode(frame.subarray(2));
      if (kind.case === "refresh") this.node.tokens.push(kind.value.token);
    } else this.request(wire.TopicRequest.decode(frame.subarray(1)));
  }

  private request({ id, kind }: wire.TopicRequest): void {
    if (kind.case === "subscribe") this.node.read(this, id, kind.value);
    else if (kind.case === "watchPresence") this.node.watched(this, id, kind.value.topic);
    else if (kind.case === "setPresence") {
      this.node.metas.push(kind.value.meta);
      this.reply(id, { case: "done", value: {} });
    } else if (kind.case === "unsubscribe") {
      this.reads.delete(kind.value.topic);
      this.reply(id, { case: "unsubscribed", value: { topic: kind.value.topic, alias: 0, code: CODE.Bye } });
    } else if (kind.case === "publish") {
      const { topic, payload, key } = kind.value;
      const mood = this.node.mood();
      const failed = { code: mood?.code ?? 0, message: "", retryAfterMs: mood?.retryAfterMs ?? 0 };
      if (mood?.kind === "refused") return this.reply(id, { case: "failed", value: failed });
      const offset = this.node.publish(topic, payload!, key);
      this.reply(id, mood === undefined ? { case: "published", value: { offset } } : { case: "failed", value: failed });
    }
  }

  private tell(lane: number, payload: Uint8Array): void {
    const data = encodePipeFrame(lane, payload).buffer;
    this.later("down", () => this.onmessage?.({ data } as never));
  }

  private later(way: "up" | "down", step: () => void): void {
    this.arrives[way] = Math.max(this.arrives[way], performance.now() + this.node.delay());
    setTimeout(() => this.readyState === 1 && !this.mute && step(), this.arrives[way] - performance.now());
  }

  private end(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code } as never);
  }
}
