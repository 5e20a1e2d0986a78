// The session engine, client side, without IO: frames, datagrams and times go in, `poll()` gives what to do.
// It outlives its connections: reliable lanes go on where they stood after every new attach (`docs/wire.md`).

import { Clock } from "./clock.ts";
import { CODE } from "./codes.ts";
import { Datagrams } from "./datagrams.ts";
import { concat, FrameError, LANE_CONTROL, laneKind, RESUMED_LANES } from "./frame.ts";
import { ReliableLanes } from "./lanes.ts";
import type { Of } from "./protobuf.ts";
import type { ConnectRequest, Output, PipeKind, Saved, SessionStats } from "./session-types.ts";
import * as wire from "./wire.ts";

const ACK_AFTER_US = 200_000;
const ACK_AFTER_MESSAGES = 64;
const ACK_AFTER_BYTES = 32 * 1024;
const PING_BURST = 5;
const PING_BURST_EVERY_US = 100_000;
const EARLY_FRAMES_MAX = 1_024;
/** Datagrams that wait for the Welcome; older ones are dropped. */
const EARLY_DATAGRAMS_MAX = 8;
const HELLO_BYTES_MAX = 8 * 1024;
const SUBSCRIPTIONS_MAX = 64;
/** Kind byte, tags and lengths around what a Hello holds. */
const HELLO_FRAMING = 32;
/** How often a session that was found again after a reload takes back a connection that was taken over. */
const TAKE_BACKS = 3;
/** Room for dials that this page does not know of. */
const GENERATIONS_SKIPPED = 4;

interface PipeState {
  kind: PipeKind;
  generation: number;
  /** Number of the next message per lane on this pipe. */
  next: Map<number, number>;
  early: { lane: number; payload: Uint8Array }[];
  earlyDatagrams: Uint8Array[];
  /** Topics that its Hello names. */
  restored: string[];
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
  private welcomed = 0;
  private forgetful: boolean;
  private lanes = new ReliableLanes();
  private datagrams = this.newDatagrams();
  private ackMessages = 0;
  private ackBytes = 0;
  private ackAt: number | undefined;
  /** Server time of tick 0, µs; it moves when the room could not keep up. */
  tick0 = 0;
  private pingAt: number | undefined;
  private pings = 0;
  private heardAt = 0;
  private clockId: bigint | undefined;
  private ending: wire.Close | undefined;
  private over = false;
  private takeBacks: number;

  constructor(private readonly request: ConnectRequest) {
    const { resume } = request;
    this.id = resume?.session;
    this.secret = resume?.secret ?? this.secret;
    this.dialled = resume?.generation ?? 0;
    this.forgetful = resume !== undefined;
    this.takeBacks = resume === undefined ? 0 : TAKE_BACKS;
  }

  get isAttached(): boolean {
    return this.attached !== undefined;
  }

  /** The connection that carries the session. */
  get attachedPipe(): number | undefined {
    return this.attached;
  }

  get isClosed(): boolean {
    return this.over;
  }

  /** `undefined` before the first Welcome and after the end. */
  get saved(): Saved | undefined {
    if (this.id === undefined || this.over) return undefined;
    return { session: this.id, secret: this.secret, generation: this.dialled };
  }

  /** How long nothing has been heard, µs. */
  silentFor(now: number): number {
    return now - this.heardAt;
  }

  /** A fresh pipe: queues the Hello on it, with resume when there is a session. */
  dial(now: number, pipe: number, kind: PipeKind): void {
    this.outputs.push({ kind: "frame", pipe, lane: LANE_CONTROL, payload: this.greet(now, pipe, kind) });
  }

  /** The same for a pipe that is still to be opened, and that carries the Hello as it opens: the payload of lane 0. */
  greet(now: number, pipe: number, kind: PipeKind): Uint8Array {
    this.dialled += 1;
    const received = this.lanes.positions;
    const state: PipeState = { kind, generation: this.dialled, next: new Map(received), early: [], earlyDatagrams: [], restored: [] };
    this.pipes.set(pipe, state);
    this.heardAt = Math.max(this.heardAt, now);
    const { token, app, game, build, schemaHash, capabilities } = this.request;
    const hello = { protocolMin: 1, protocolMax: 1, app, game, build, schemaHash, capabilities, token, resume: undefined };
    const value = this.id === undefined ? hello : this.withResume(this.id, state, hello);
    const payload = encodeLink({ case: "hello", value });
    this.stats.bytesOut += payload.length;
    return payload;
  }

  private withResume(session: string, state: PipeState, hello: Of<typeof wire.Hello>): Of<typeof wire.Hello> {
    const lost = this.forgetful ? RESUMED_LANES.map((lane) => ({ lane, code: CODE.LaneLost })) : [];
    const received = encodePositions(this.lanes.positions);
    const resume = { session, secret: this.secret, generation: this.dialled, received, welcomed: this.welcomed, lost, topics: [] };
    const topics = this.topicsThatFit(HELLO_BYTES_MAX - HELLO_FRAMING - wire.Hello.encode({ ...hello, resume }).length);
    state.restored = topics.map(({ topic }) => topic);
    return { ...hello, resume: { ...resume, topics } };
  }

  /** A frame arrived on `lane` of `pipe`. Throws `FrameError` when it breaks the protocol. */
  handleFrame(now: number, pipe: number, lane: number, payload: Uint8Array): void {
    const state = this.pipes.get(pipe);
    if (state === undefined || this.over) return;
    this.stats.bytesIn += payload.length;
    if (lane === LANE_CONTROL && payload[0] === 0) return this.handleLink(now, pipe, state, payload.subarray(1));
    if (pipe === this.attached) {
      this.heardAt = now;
      this.receive(now, state, lane, payload);
    } else if (state.generation > this.generation) {
      if (state.early.length >= EARLY_FRAMES_MAX) throw new FrameError("too many frames before the Welcome");
      state.early.push({ lane, payload });
    }
  }

  /** A datagram arrived on `pipe`. Throws `FrameError` when it is none. */
  handleDatagram(now: number, pipe: number, bytes: Uint8Array): void {
    if (this.over) return;
    if (pipe !== this.attached) return this.keepDatagram(pipe, bytes);
    this.heardAt = now;
    this.stats.bytesIn += bytes.length;
    this.stats.datagramsIn += 1;
    const { srtt, rttVar } = this.clock;
    const patient = this.isOrdered || srtt === 0;
    this.datagrams.receive(now, bytes, this.isOrdered, patient ? Infinity : srtt + 4 * rttVar + 25_000);
  }

  /** What leaves behind the Welcome may arrive before it. */
  private keepDatagram(pipe: number, bytes: Uint8Array): void {
    const state = this.pipes.get(pipe);
    if (state === undefined || state.generation <= this.generation) return;
    if (state.earlyDatagrams.length === EARLY_DATAGRAMS_MAX) state.earlyDatagrams.shift();
    state.earlyDatagrams.push(bytes);
  }

  /** The connection under `pipe` is gone. */
  handlePipeClosed(pipe: number, code: number | undefined): void {
    this.pipes.delete(pipe);
    if (pipe !== this.attached || this.over) return;
    if (this.ending !== undefined) return this.end("closed", this.ending.code, this.ending.message, this.ending.retryAfterMs);
    // A Hello of a dial that was given up may have been read all the same.
    const replaced = this.dialled > this.generation;
    if (code === CODE.GenerationStale && !replaced && !this.takesBack()) return this.end("closed", code, "", 0);
    this.attached = undefined;
    this.datagrams.pipeGone();
    this.outputs.push({ kind: "detached" });
  }

  /** Does what is due: acknowledgements and pings. */
  handleTimeout(now: number): void {
    if (this.attached === undefined) return;
    if (this.ackAt !== undefined && now >= this.ackAt) this.sendAck();
    if (this.datagrams.ackAt !== undefined && now >= this.datagrams.ackAt) this.datagrams.flushAck();
    if (this.pingAt !== undefined && now >= this.pingAt) this.ping(now);
  }

  /** The next thing to do or to know. */
  poll(): Output | undefined {
    return this.outputs.shift();
  }

  /** Sends on a reliable lane; false when it was not taken. */
  send(lane: number, payload: Uint8Array): boolean {
    if (this.over) return false;
    const kept = laneKind(lane) === "resumed";
    if (kept && !this.lanes.keep(lane, payload)) return false;
    if (this.attached !== undefined) this.sendFrame(this.attached, lane, payload);
    return kept || this.attached !== undefined;
  }

  /** Sends on a `latest` lane: its sequence number, or `undefined` without a path. */
  sendDatagram(now: number, lane: number, payload: Uint8Array): number | undefined {
    if (this.attached === undefined || this.over) return undefined;
    return this.datagrams.send(now, lane, payload, this.isOrdered);
  }

  /** Ends the session in order. */
  close(code: number, message: string): void {
    if (this.over) return;
    if (this.attached !== undefined) {
      const sent = encodePositions(this.lanes.sent);
      this.sendLink(this.attached, { case: "close", value: { code, message, retryAfterMs: 0, sent } });
    }
    this.over = true;
    this.closePipesExcept(undefined, code, message);
  }

  /** The token of the next Hello. */
  setToken(token: string): void {
    this.request.token = token;
  }

  private topicsThatFit(room: number): wire.TopicPosition[] {
    let left = room;
    return (this.request.topics?.() ?? [])
      .slice(0, SUBSCRIPTIONS_MAX)
      .map(({ topic, since }) => ({ topic, epoch: since?.epoch ?? 0n, offset: since?.offset ?? 0 }))
      .filter((position) => (left -= wire.TopicPosition.encode(position).length + 3) > 0);
  }

  private get isOrdered(): boolean {
    return this.attached !== undefined && this.pipes.get(this.attached)?.kind === "ordered";
  }

  private newDatagrams(): Datagrams {
    return new Datagrams({
      send: (bytes) => {
        if (this.attached === undefined) return;
        this.stats.bytesOut += bytes.length;
        this.stats.datagramsOut += 1;
        this.outputs.push({ kind: "datagram", pipe: this.attached, bytes });
      },
      received: (lane, payload) => this.outputs.push({ kind: "datagram-received", lane, payload }),
      fate: (seq, acked) => {
        if (!acked) this.stats.datagramsLost += 1;
        this.outputs.push({ kind: "fate", seq, acked });
      },
    });
  }

  private handleLink(now: number, pipe: number, state: PipeState, bytes: Uint8Array): void {
    const { kind } = wire.Link.decode(bytes);
    if (kind.case === "welcome") return this.welcome(now, pipe, state, kind.value);
    if (kind.case === "refused") return this.refused(pipe, kind.value);
    if (pipe !== this.attached) return;
    this.heardAt = now;
    if (kind.case === "ack") {
      for (const { lane, nextSeq } of kind.value.received) this.lanes.acknowledged(lane, nextSeq);
    } else if (kind.case === "ping") {
      const at = Math.round(now);
      this.sendLink(pipe, { case: "pong", value: { t0Us: kind.value.t0Us, t1Us: at, t2Us: at, tick0Us: 0 } });
    } else if (kind.case === "pong") {
      this.clock.answer(kind.value.t0Us, kind.value.t1Us, kind.value.t2Us, now);
      if (kind.value.tick0Us !== 0) this.tick0 = kind.value.tick0Us;
    } else if (kind.case === "close") {
      this.ending = kind.value;
      this.endWhenComplete();
    }
  }

  /**
   * A reload can leave a dial of the page before it under way, which the server may hear first: the seat is taken back,
   * a few times. Someone who plays on in another tab is left alone after that.
   */
  private takesBack(): boolean {
    if (this.takeBacks === 0) return false;
    this.takeBacks -= 1;
    this.dialled += GENERATIONS_SKIPPED;
    return true;
  }

  private refused(pipe: number, { code, message, retryAfterMs }: wire.Refused): void {
    this.closePipe(pipe, code, message);
    if (code === CODE.GenerationStale && this.attached === undefined && this.takesBack()) {
      this.outputs.push({ kind: "detached" });
      return;
    }
    this.outputs.push({ kind: "refused", code, message, retryAfterMs });
  }

  private welcome(now: number, pipe: number, state: PipeState, welcome: wire.Welcome): void {
    if (state.generation <= this.generation) return this.closePipe(pipe, CODE.GenerationStale, "");
    if (this.attached !== undefined) this.datagrams.pipeGone();
    if (!welcome.resumed) this.restart(state);
    if (this.clockId !== welcome.clockId) this.clock.restart();
    this.clockId = welcome.clockId;
    this.id = welcome.session;
    this.secret = welcome.secret;
    this.tick0 = welcome.tick0Us;
    this.generation = state.generation;
    this.welcomed = welcome.generation;
    this.dialled = Math.max(this.dialled, welcome.generation);
    this.forgetful = false;
    this.attached = pipe;
    this.heardAt = now;
    this.stats.attaches += 1;
    this.closePipesExcept(pipe, CODE.GenerationStale, "");
    this.outputs.push({ kind: "attached", resumed: welcome.resumed, generation: welcome.generation, welcome, restored: state.restored });
    for (const { lane, code } of welcome.lost) {
      this.lanes.restartReceived(lane);
      state.next.set(lane, 0);
      this.outputs.push({ kind: "lane-lost", lane, code });
    }
    for (const { lane, nextSeq } of welcome.received) this.lanes.acknowledged(lane, nextSeq);
    for (const { lane, payload } of this.lanes.unacked()) this.sendFrame(pipe, lane, payload);
    this.pings = 0;
    this.ping(now);
    for (const { lane, payload } of state.early.splice(0)) this.receive(now, state, lane, payload);
    for (const bytes of state.earlyDatagrams.splice(0)) this.handleDatagram(now, pipe, bytes);
  }

  private restart(state: PipeState): void {
    this.lanes = new ReliableLanes();
    this.datagrams = this.newDatagrams();
    state.next = new Map();
  }

  private receive(now: number, pipe: PipeState, lane: number, payload: Uint8Array): void {
    const kind = laneKind(lane);
    if (kind !== "resumed" && kind !== "ordered") throw new FrameError(`lane ${lane} is not reliable`);
    if (kind === "resumed") {
      const seq = pipe.next.get(lane) ?? 0;
      pipe.next.set(lane, seq + 1);
      if (!this.lanes.receive(lane, seq)) return;
      this.ackAt ??= now + ACK_AFTER_US;
      this.ackMessages += 1;
      this.ackBytes += payload.length;
      if (this.ackMessages >= ACK_AFTER_MESSAGES || this.ackBytes >= ACK_AFTER_BYTES) this.sendAck();
    }
    if (lane !== LANE_CONTROL) this.outputs.push({ kind: "message", lane, payload });
    else if (payload[0] === 1) this.outputs.push({ kind: "control", control: wire.Control.decode(payload.subarray(1)) });
    else throw new FrameError("lane 0 holds a Link or a Control");
    this.endWhenComplete();
  }

  private endWhenComplete(): void {
    if (this.ending === undefined || this.over) return;
    const received = new Map(this.lanes.positions);
    if (this.ending.sent.some(({ lane, nextSeq }) => (received.get(lane) ?? 0) < nextSeq)) return;
    this.end("closed", this.ending.code, this.ending.message, this.ending.retryAfterMs);
  }

  private sendAck(): void {
    this.ackAt = undefined;
    this.ackMessages = this.ackBytes = 0;
    if (this.attached === undefined) return;
    this.sendLink(this.attached, { case: "ack", value: { received: encodePositions(this.lanes.positions) } });
  }

  private ping(now: number): void {
    this.pings += 1;
    this.pingAt = now + (this.pings < PING_BURST ? PING_BURST_EVERY_US : this.request.pingEveryUs);
    if (this.attached === undefined) return;
    this.sendLink(this.attached, { case: "ping", value: { t0Us: Math.round(now) } });
  }

  private sendLink(pipe: number, kind: wire.Link["kind"]): void {
    this.sendFrame(pipe, LANE_CONTROL, encodeLink(kind));
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

  private end(kind: "closed", code: number, message: string, retryAfterMs: number): void {
    this.over = true;
    this.attached = undefined;
    this.closePipesExcept(undefined, code, message);
    this.outputs.push({ kind, code, message, retryAfterMs });
  }
}

function encodeLink(kind: wire.Link["kind"]): Uint8Array {
  return concat(Uint8Array.of(0), wire.Link.encode({ kind }));
}

function encodePositions(entries: [number, number][]): wire.LanePosition[] {
  return entries.filter(([, next]) => next > 0).map(([lane, nextSeq]) => ({ lane, nextSeq }));
}
