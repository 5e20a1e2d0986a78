// Keeps one session connected: tries endpoints in turn, notices silence, reconnects and resumes.

import { actionOf, CODE } from "./codes.ts";
import { canUse, type Endpoint, openWebSocket, openWebTransport, type Pipe, type PipeSink, type WebSocketClass } from "./pipe.ts";
import { Session } from "./session.ts";
import type { ConnectRequest, Output } from "./session-types.ts";
import { Ways } from "./ways.ts";

const BACKOFF_MS = [0, 250, 500, 1_000, 2_000, 4_000];
const WELCOME_MS_MAX = 5_000;
/** A connection that held this long, ms, was a good one: the next attempt comes at once. */
const GOOD_MS = 2_000;

/** What the owner of a link hears. */
export type LinkEvent = Extract<Output, { kind: "attached" | "detached" | "message" | "control" | "datagram-received" | "fate" | "lane-lost" | "refused" | "closed" }>;

/** `connecting` before the first Welcome, `lost` while a session is being resumed. */
export type LinkState = "connecting" | "live" | "lost" | "over";

export interface LinkOptions {
  endpoints: Endpoint[];
  /** Reliable lanes in use, 0 first. */
  lanes: number[];
  /** How long an attached session may be silent, ms; longer opens a second path. */
  silenceMs: (rttMs: number, varMs: number) => number;
  /** Gives up resuming after this long, ms; `Infinity` never does. */
  giveUpMs: number;
  /** How often what is due is done, ms; 20 where inputs and snapshots flow. */
  tickMs?: number;
  /** Makes WebSockets where there is no class of that name. */
  webSocket?: WebSocketClass | undefined;
  onEvent: (event: LinkEvent) => void;
  onState?: (state: LinkState) => void;
}

/** Local time in µs. It never steps back. */
export function nowMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1_000);
}

/** The engine plus its connections and timers. */
export class Link {
  readonly session: Session;
  state: LinkState = "connecting";
  private readonly ways: Ways;
  private pipes = new Map<number, Pipe>();
  /** Connections on which no session was attached yet. */
  private greeting = new Map<number, Endpoint>();
  private nextPipe = 1;
  private dialling = false;
  private attempt = 0;
  private attachedAt = 0;
  private lostAt: number | undefined;
  private timer: ReturnType<typeof setInterval>;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(request: ConnectRequest, private readonly options: LinkOptions) {
    this.session = new Session(request);
    this.ways = new Ways(options.endpoints.filter(canUse));
    this.timer = setInterval(() => this.tick(), options.tickMs ?? 20);
    void this.dial();
  }

  /** Transport of the attached connection. */
  get transport(): string {
    const pipe = [...this.pipes.values()].at(-1);
    return pipe?.transport ?? "none";
  }

  send(lane: number, payload: Uint8Array): boolean {
    const sent = this.session.send(lane, payload);
    this.pump();
    return sent;
  }

  sendDatagram(lane: number, payload: Uint8Array): number | undefined {
    const seq = this.session.sendDatagram(nowMicros(), lane, payload);
    this.pump();
    return seq;
  }

  /** Ends the session in order. */
  close(): void {
    if (this.state === "over") return;
    this.session.close(CODE.Bye, "");
    this.pump();
    this.finish();
  }

  /** Drops the connection without ending the session, as a broken network would. */
  drop(): void {
    for (const [id, pipe] of [...this.pipes]) {
      pipe.close(CODE.Silent, "");
      this.closed(id, undefined);
    }
  }

  /** The network is said to be there again: dials now instead of when it is due. */
  hurry(): void {
    if (this.retry === undefined) return;
    clearTimeout(this.retry);
    this.retry = undefined;
    this.attempt = 0;
    void this.dial();
  }

  private async dial(): Promise<void> {
    if (this.dialling || this.state === "over") return;
    this.dialling = true;
    const round = this.attempt;
    for (const [place, endpoint] of this.ways.all.entries()) {
      if (await this.dialOne(endpoint, this.ways.patience(place, round))) {
        this.dialling = false;
        return;
      }
      if (this.isOver()) return;
    }
    this.dialling = false;
    this.again();
  }

  private isOver(): boolean {
    return this.state === "over";
  }

  private async dialOne(endpoint: Endpoint, patienceMs: number): Promise<boolean> {
    const id = this.nextPipe++;
    const early: (() => void)[] = [];
    let ready = false;
    const late = (step: () => void) => (ready ? step() : early.push(step));
    const opening = this.open(endpoint, id, {
      frame: (lane, payload) => late(() => this.frame(id, lane, payload)),
      datagram: (bytes) => late(() => this.datagram(id, bytes)),
      closed: (code) => late(() => this.closed(id, code)),
    });
    const pipe = await withTimeout(opening, patienceMs).catch(() => undefined);
    if (pipe === undefined) {
      this.session.handlePipeClosed(id, undefined);
      void opening.then((late) => late.close(CODE.Bye, ""), () => undefined);
      return false;
    }
    if (this.isOver()) {
      pipe.close(CODE.Bye, "");
      return true;
    }
    this.pipes.set(id, pipe);
    this.greeting.set(id, endpoint);
    if (pipe.transport === "webtransport") this.session.dial(nowMicros(), id, pipe.kind);
    ready = true;
    for (const step of early) step();
    this.pump();
    setTimeout(() => this.welcomeDue(id), WELCOME_MS_MAX);
    return true;
  }

  /** Opens a connection. A WebSocket says Hello as it opens, which saves a round trip. */
  private open(endpoint: Endpoint, id: number, sink: PipeSink): Promise<Pipe> {
    if (endpoint.transport !== "ws") return openWebTransport(endpoint, this.options.lanes, sink);
    return openWebSocket(endpoint.url, this.session.greet(nowMicros(), id, "ordered"), sink, this.options.webSocket);
  }

  private welcomeDue(id: number): void {
    if (this.state === "live" || !this.pipes.has(id)) return;
    this.pipes.get(id)?.close(CODE.HandshakeTimeout, "");
    this.closed(id, undefined);
  }

  private again(): void {
    if (this.isOver() || this.retry !== undefined) return;
    if (this.lostAt !== undefined && performance.now() - this.lostAt > this.options.giveUpMs) {
      this.options.onEvent({ kind: "closed", code: CODE.Silent, message: "", retryAfterMs: 0 });
      return this.finish();
    }
    const base = BACKOFF_MS[Math.min(this.attempt, BACKOFF_MS.length - 1)]!;
    this.attempt += 1;
    this.retry = setTimeout(() => {
      this.retry = undefined;
      void this.dial();
    }, base * (0.75 + Math.random() / 2));
  }

  private frame(id: number, lane: number, payload: Uint8Array): void {
    try {
      this.session.handleFrame(nowMicros(), id, lane, payload);
    } catch {
      this.pipes.get(id)?.close(CODE.FrameInvalid, "");
      this.closed(id, undefined);
    }
    this.pump();
  }

  private datagram(id: number, bytes: Uint8Array): void {
    try {
      this.session.handleDatagram(nowMicros(), id, bytes);
    } catch {
      // A datagram that cannot be read counts as lost.
    }
    this.pump();
  }

  private closed(id: number, code: number | undefined): void {
    if (!this.pipes.delete(id)) return;
    this.unwelcome(id);
    this.session.handlePipeClosed(id, code);
    this.pump();
    if (!this.session.isAttached && this.pipes.size === 0) this.lose();
  }

  /** A connection ended; if no session came of it, others are tried first. */
  private unwelcome(id: number): void {
    const endpoint = this.greeting.get(id);
    if (this.greeting.delete(id) && endpoint !== undefined) this.ways.failed(endpoint);
  }

  private lose(): void {
    if (this.isOver() || this.session.isAttached) return;
    if (this.state === "live" && performance.now() - this.attachedAt > GOOD_MS) this.attempt = 0;
    this.lostAt ??= performance.now();
    if (this.state === "live") this.setState("lost");
    this.again();
  }

  private tick(): void {
    const now = nowMicros();
    this.session.handleTimeout(now);
    const { clock } = this.session;
    const silent = this.options.silenceMs(clock.srtt / 1_000, clock.rttVar / 1_000) * 1_000;
    if (this.session.isAttached && this.session.silentFor(now) > silent && this.retry === undefined && !this.dialling) this.again();
    this.pump();
  }

  private pump(): void {
    for (let output = this.session.poll(); output !== undefined; output = this.session.poll()) this.perform(output);
  }

  private perform(output: Output): void {
    switch (output.kind) {
      case "frame":
        return this.pipes.get(output.pipe)?.frame(output.lane, output.payload);
      case "datagram":
        return this.pipes.get(output.pipe)?.datagram(output.bytes);
      case "close-pipe": {
        const pipe = this.pipes.get(output.pipe);
        this.pipes.delete(output.pipe);
        this.unwelcome(output.pipe);
        return pipe?.close(output.code, output.message);
      }
      case "attached": {
        const pipe = this.session.attachedPipe;
        const endpoint = pipe === undefined ? undefined : this.greeting.get(pipe);
        if (pipe !== undefined) this.greeting.delete(pipe);
        if (endpoint !== undefined) this.ways.worked(endpoint);
        this.attachedAt = performance.now();
        this.lostAt = undefined;
        this.setState("live");
        break;
      }
      case "detached":
        this.lose();
        break;
      case "refused":
        if (this.session.isAttached) return;
        if (actionOf(output.code) !== "stop") return this.lose();
        this.finish();
        break;
      case "closed":
        this.finish();
        break;
      case "message":
      case "control":
      case "datagram-received":
      case "fate":
      case "lane-lost":
        break;
    }
    this.options.onEvent(output);
  }

  private setState(state: LinkState): void {
    if (this.state === state || this.state === "over") return;
    this.state = state;
    this.options.onState?.(state);
  }

  private finish(): void {
    clearInterval(this.timer);
    clearTimeout(this.retry);
    for (const pipe of this.pipes.values()) pipe.close(CODE.Bye, "");
    this.pipes.clear();
    this.setState("over");
  }
}

function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("timeout")), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
