// The session engine, client side, without IO: frames, datagrams and times go in, `poll()` gives what to do.
// It outlives its connections: reliable lanes go on where they stood after every new attach.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DatagramAcks } from "./acks.ts";
import { Clock } from "./clock.ts";
import { actionOf, CODE } from "./codes.ts";
import { concat, LANE_CONTROL, LANE_TOPICS, laneKind } from "./frame.ts";
import {
  AckSchema,
  CloseSchema,
  type Control,
  ControlSchema,
  HelloSchema,
  LanePositionSchema,
  type Link,
  LinkSchema,
  PingSchema,
  PongSchema,
  ResumeSchema,
  type Welcome,
} from "./gen/session_pb.ts";
import { ReliableLanes } from "./lanes.ts";

/** Times are µs of one local clock. */
export const ACK_AFTER_US = 200_000;
const ACK_AFTER_MESSAGES = 64;
const ACK_AFTER_BYTES = 32 * 1024;
const ACK_ONLY_AFTER_US = 25_000;
const PING_EVERY_US = 2_000_000;
const PING_BURST = 6;
const PING_BURST_EVERY_US = 150_000;
const LATEST_IN_FLIGHT_MAX = 2;
const EARLY_FRAMES_MAX = 1_024;

/** What is kept to go on with a session from another connection or another page load. */
export interface Saved {
  session: string;
  secret: Uint8Array;
  generation: number;
  /** Messages received per resumable lane. */
  received: [number, number][];
}

/** Who connects, and to what. */
export interface ConnectRequest {
  token: string;
  app: string;
  game: string;
  build: string;
  schemaHash: bigint;
  capabilities: string[];
  resume?: Saved | undefined;
}

/** `streams` have a pipe per lane and real datagrams; `ordered` is one message pipe (WebSocket). */
export type PipeKind = "streams" | "ordered";

export type Output =
  | { kind: "frame"; pipe: number; lane: number; payload: Uint8Array }
  | { kind: "datagram"; pipe: number; bytes: Uint8Array }
  | { kind: "close-pipe"; pipe: number; code: number; message: string }
  | { kind: "attached"; resumed: boolean; generation: number; welcome: Welcome }
  | { kind: "detached"; code: number }
  | { kind: "message"; lane: number; payload: Uint8Array }
  | { kind: "control"; control: Control }
  | { kind: "datagram-received"; lane: number; payload: Uint8Array }
  | { kind: "acked" | "lost"; seq: number }
  | { kind: "lane-lost"; lane: number; code: number }
  | { kind: "refused" | "closed"; code: number; message: string; retryAfterMs: number };

interface PipeState {
  kind: PipeKind;
  maxDatagram: number;
  generation: number;
  told: Map<number, number>;
  received: Map<number, number>;
  early: { lane: number; payload: Uint8Array }[];
}

/** Counters for the net overlay. */
export interface SessionStats {
  bytesIn: number;
  bytesOut: number;
  datagramsIn: number;
  datagramsOut: number;
  datagramsLost: number;
  attaches: number;
}

/** One session, client role. */
export class Session {
  readonly clock = new Clock();
  readonly stats: SessionStats = { bytesIn: 0, bytesOut: 0, datagramsIn: 0, datagramsOut: 0, datagramsLost: 0, attaches: 0 };
  private outputs: Output[] = [];
  private pipes = new Map<number, PipeState>();
  private attached: number | undefined;
  private id: string | undefined;
  private secret: Uint8Array = new Uint8Array(0);
  private generation = 0;
  private dialled = 0;
  private lanes: ReliableLanes;
  private acks = new DatagramAcks();
  private waiting: { seq: number; lane: number; payload: Uint8Array } | undefined;
  private ackMessages = 0;
  private ackBytes = 0;
  private ackAt: number | undefined;
  private ackOnlyAt: number | undefined;
  private pingAt: number | undefined;
  private pings = 0;
  private heardAt = 0;
  private clockId: bigint | undefined;
  private over = false;

  constructor(private readonly request: ConnectRequest) {
    const resume = request.resume;
    this.id = resume?.session;
    this.secret = resume?.secret ?? this.secret;
    this.generation = this.dialled = resume?.generation ?? 0;
    this.lanes = new ReliableLanes(resume?.received ?? []);
  }

  get isAttached(): boolean {
    return this.attached !== undefined;
  }

  get isClosed(): boolean {
    return this.over;
  }

  /** What a later page load needs to go on; `undefined` before the first Welcome. */
  get saved(): Saved | undefined {
    if (this.id === undefined || this.over) return undefined;
    return { session: this.id, secret: this.secret, generation: this.dialled, received: this.lanes.positions };
  }

  /** How long nothing has been heard, µs. */
  silentFor(now: number): number {
    return now - this.heardAt;
  }

  /** A fresh pipe: queues the Hello on it, with resume when there is a session. */
  dial(now: number, pipe: number, kind: PipeKind, maxDatagram: number): void {
    this.dialled += 1;
    const told = new Map(this.lanes.positions);
    this.pipes.set(pipe, { kind, maxDatagram, generation: this.dialled, told, received: new Map(), early: [] });
    this.heardAt = Math.max(this.heardAt, now);
    const { token, app, game, build, schemaHash, capabilities } = this.request;
    const hello = create(HelloSchema, { protocolMin: 1, protocolMax: 1, app, game, build, schemaHash, capabilities, token });
    if (this.id !== undefined) {
      const received = positions([...told]);
      hello.resume = create(ResumeSchema, { session: this.id, secret: this.secret, generation: this.dialled, received });
    }
    this.sendLink(pipe, { case: "hello", value: hello });
  }

  /** A frame arrived on `lane` of `pipe`. */
  handleFrame(now: number, pipe: number, lane: number, payload: Uint8Array): void {
    const state = this.pipes.get(pipe);
    if (state === undefined || this.over) return;
    this.stats.bytesIn += payload.length;
    if (lane === LANE_CONTROL && payload[0] === 0) return this.handleLink(now, pipe, state, payload.subarray(1));
    if (pipe === this.attached) {
      this.heardAt = now;
      this.receive(now, state, lane, payload);
    } else if (state.generation > this.generation && state.early.length < EARLY_FRAMES_MAX) {
      state.early.push({ lane, payload });
    }
  }

  /** A datagram arrived on `pipe`. */
  handleDatagram(now: number, pipe: number, bytes: Uint8Array): void {
    if (pipe !== this.attached || this.over) return;
    this.heardAt = now;
    this.stats.bytesIn += bytes.length;
    this.stats.datagramsIn += 1;
    const { datagram, fates } = this.acks.parse(bytes);
    for (const { seq, acked } of fates) {
      if (!acked) this.stats.datagramsLost += 1;
      this.outputs.push({ kind: acked ? "acked" : "lost", seq });
    }
    if (this.acks.pending) this.ackOnlyAt ??= now + ACK_ONLY_AFTER_US;
    if (datagram !== undefined && datagram.payload.length > 0) {
      this.outputs.push({ kind: "datagram-received", lane: datagram.lane, payload: datagram.payload });
    }
    this.releaseWaiting();
  }

  /** The connection under `pipe` is gone. */
  handlePipeClosed(_now: number, pipe: number, code: number | undefined): void {
    this.pipes.delete(pipe);
    if (pipe !== this.attached || this.over) return;
    this.attached = undefined;
    if (code !== undefined && actionOf(code) === "stop") this.end("closed", code, "", 0);
    else this.outputs.push({ kind: "detached", code: code ?? CODE.Silent });
  }

  /** Does what is due: acknowledgements and pings. */
  handleTimeout(now: number): void {
    if (this.attached === undefined) return;
    if (this.ackAt !== undefined && now >= this.ackAt) this.sendAck();
    if (this.ackOnlyAt !== undefined && now >= this.ackOnlyAt) this.sendAckOnly();
    if (this.pingAt !== undefined && now >= this.pingAt) this.ping(now);
  }

  /** When `handleTimeout` is due next, µs. */
  pollTimeout(): number | undefined {
    if (this.attached === undefined) return undefined;
    const due = [this.ackAt, this.ackOnlyAt, this.pingAt].filter((at) => at !== undefined);
    return due.length > 0 ? Math.min(...due) : undefined;
  }

  /** The next thing to do or to know. */
  poll(): Output | undefined {
    return this.outputs.shift();
  }

  /** Sends on a reliable lane; false when too much is unacknowledged or the session is over. */
  send(lane: number, payload: Uint8Array): boolean {
    if (this.over) return false;
    if (laneKind(lane) === "resumed" && !this.lanes.keep(lane, payload)) return false;
    if (this.attached !== undefined) this.sendFrame(this.attached, lane, payload);
    return this.attached !== undefined || lane !== LANE_TOPICS;
  }

  /** Sends on a `latest` lane: its sequence number, or `undefined` without a path. */
  sendDatagram(lane: number, payload: Uint8Array): number | undefined {
    if (this.attached === undefined || this.over) return undefined;
    const seq = this.acks.take();
    const ordered = this.pipes.get(this.attached)?.kind === "ordered";
    if (ordered && this.acks.open >= LATEST_IN_FLIGHT_MAX) {
      if (this.waiting !== undefined) this.outputs.push({ kind: "lost", seq: this.waiting.seq });
      this.waiting = { seq, lane, payload };
    } else {
      this.emitDatagram(seq, lane, payload);
    }
    return seq;
  }

  /** Ends the session in order. */
  close(code: number, message: string): void {
    if (this.over) return;
    if (this.attached !== undefined) {
      this.sendLink(this.attached, { case: "close", value: create(CloseSchema, { code, message }) });
    }
    this.over = true;
    this.closePipesExcept(undefined, code, message);
  }

  private handleLink(now: number, pipe: number, state: PipeState, bytes: Uint8Array): void {
    const { kind } = fromBinary(LinkSchema, bytes);
    if (kind.case === "welcome") return this.welcome(now, pipe, state, kind.value);
    if (kind.case === "refused") {
      this.closePipe(pipe, kind.value.code, kind.value.message);
      this.outputs.push({ kind: "refused", code: kind.value.code, message: kind.value.message, retryAfterMs: kind.value.retryAfterMs });
      return;
    }
    if (pipe !== this.attached) return;
    this.heardAt = now;
    if (kind.case === "ack") for (const { lane, nextSeq } of kind.value.received) this.lanes.acknowledged(lane, Number(nextSeq));
    if (kind.case === "ping") {
      const at = BigInt(Math.round(now));
      this.sendLink(pipe, { case: "pong", value: create(PongSchema, { t0Us: kind.value.t0Us, t1Us: at, t2Us: at }) });
    }
    if (kind.case === "pong") this.clock.sample(Number(kind.value.t0Us), Number(kind.value.t1Us), Number(kind.value.t2Us), now);
    if (kind.case === "close") this.peerClosed(pipe, kind.value.code, kind.value.message, kind.value.retryAfterMs);
  }

  private peerClosed(pipe: number, code: number, message: string, retryAfterMs: number): void {
    this.closePipe(pipe, code, message);
    this.attached = undefined;
    if (actionOf(code) === "stop") this.end("closed", code, message, retryAfterMs);
    else this.outputs.push({ kind: "detached", code });
  }

  private welcome(now: number, pipe: number, state: PipeState, welcome: Welcome): void {
    if (state.generation <= this.generation && this.attached !== undefined) return this.closePipe(pipe, CODE.GenerationStale, "");
    if (!welcome.resumed) this.restart();
    this.id = welcome.session;
    this.secret = welcome.secret;
    this.generation = welcome.generation;
    this.dialled = Math.max(this.dialled, welcome.generation);
    this.attached = pipe;
    this.heardAt = now;
    this.stats.attaches += 1;
    this.closePipesExcept(pipe, CODE.GenerationStale, "");
    if (this.clockId !== welcome.clockId) this.clock.restart();
    this.clockId = welcome.clockId;
    state.received = welcome.resumed ? new Map(state.told) : new Map();
    this.pings = 0;
    this.outputs.push({ kind: "attached", resumed: welcome.resumed, generation: welcome.generation, welcome });
    for (const { lane, code } of welcome.lost) {
      this.lanes.restartReceived(lane);
      state.received.set(lane, 0);
      this.outputs.push({ kind: "lane-lost", lane, code });
    }
    for (const { lane, nextSeq } of welcome.received) this.lanes.acknowledged(lane, Number(nextSeq));
    for (const { lane, payload } of this.lanes.unacked()) this.sendFrame(pipe, lane, payload);
    this.ping(now);
    for (const { lane, payload } of state.early.splice(0)) this.receive(now, state, lane, payload);
  }

  private restart(): void {
    this.lanes.restart();
    this.acks = new DatagramAcks();
    this.waiting = undefined;
  }

  private receive(now: number, pipe: PipeState, lane: number, payload: Uint8Array): void {
    if (laneKind(lane) === "resumed") {
      const seq = pipe.received.get(lane) ?? 0;
      pipe.received.set(lane, seq + 1);
      if (!this.lanes.receive(lane, seq)) return;
      this.ackAt ??= now + ACK_AFTER_US;
      this.ackMessages += 1;
      this.ackBytes += payload.length;
      if (this.ackMessages >= ACK_AFTER_MESSAGES || this.ackBytes >= ACK_AFTER_BYTES) this.sendAck();
    }
    if (lane === LANE_CONTROL) this.outputs.push({ kind: "control", control: fromBinary(ControlSchema, payload.subarray(1)) });
    else this.outputs.push({ kind: "message", lane, payload });
  }

  private sendAck(): void {
    this.ackAt = undefined;
    this.ackMessages = this.ackBytes = 0;
    if (this.attached === undefined) return;
    this.sendLink(this.attached, { case: "ack", value: create(AckSchema, { received: positions(this.lanes.positions) }) });
  }

  private sendAckOnly(): void {
    this.ackOnlyAt = undefined;
    if (this.acks.pending) this.emitDatagram(this.acks.take(), LANE_CONTROL, new Uint8Array(0));
  }

  private ping(now: number): void {
    this.pings += 1;
    this.pingAt = now + (this.pings < PING_BURST ? PING_BURST_EVERY_US : PING_EVERY_US);
    if (this.attached === undefined) return;
    this.sendLink(this.attached, { case: "ping", value: create(PingSchema, { t0Us: BigInt(Math.round(now)) }) });
  }

  private releaseWaiting(): void {
    if (this.waiting === undefined || this.acks.open >= LATEST_IN_FLIGHT_MAX) return;
    const { seq, lane, payload } = this.waiting;
    this.waiting = undefined;
    this.emitDatagram(seq, lane, payload);
  }

  private emitDatagram(seq: number, lane: number, payload: Uint8Array): void {
    const bytes = this.acks.seal(seq, lane, payload);
    this.ackOnlyAt = undefined;
    this.stats.bytesOut += bytes.length;
    this.stats.datagramsOut += 1;
    this.outputs.push({ kind: "datagram", pipe: this.attached!, bytes });
  }

  private sendLink(pipe: number, kind: Link["kind"]): void {
    const link = toBinary(LinkSchema, create(LinkSchema, { kind }));
    this.sendFrame(pipe, LANE_CONTROL, concat(Uint8Array.of(0), link));
  }

  private sendFrame(pipe: number, lane: number, payload: Uint8Array): void {
    this.stats.bytesOut += payload.length;
    this.outputs.push({ kind: "frame", pipe, lane, payload });
  }

  private closePipe(pipe: number, code: number, message: string): void {
    if (this.pipes.delete(pipe)) this.outputs.push({ kind: "close-pipe", pipe, code, message });
  }

  private closePipesExcept(kept: number | undefined, code: number, message: string): void {
    for (const pipe of [...this.pipes.keys()]) if (pipe !== kept) this.closePipe(pipe, code, message);
  }

  private end(kind: "refused" | "closed", code: number, message: string, retryAfterMs: number): void {
    this.over = true;
    this.closePipesExcept(undefined, code, message);
    this.outputs.push({ kind, code, message, retryAfterMs });
  }
}

function positions(entries: [number, number][]) {
  return entries.map(([lane, next]) => create(LanePositionSchema, { lane, nextSeq: BigInt(next) }));
}
