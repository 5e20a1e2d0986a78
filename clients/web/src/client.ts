// One seat of a match: inputs go up once per tick, snapshots come down, the own player is predicted.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { BitWriter } from "./bits.ts";
import { LANE_BULK, LANE_CONTROL, LANE_INPUT, LANE_ROOM, LANE_SNAPSHOT } from "./frame.ts";
import { type Joined, type PlayerMessage, PlayerMessageSchema, PartReadSchema, RequestSchema, type RoomMessage, RoomMessageSchema, type Tables, TablesReadySchema, WorldPartSchema } from "./gen/room_pb.ts";
import { InputLead } from "./input-lead.ts";
import { Link, type LinkEvent, type LinkState, nowMicros } from "./link.ts";
import { fitted } from "./message.ts";
import { Playout } from "./pace.ts";
import type { Endpoint } from "./pipe.ts";
import { type Locomotion, Predictor } from "./predict.ts";
import { encodeInputs, type Snapshot } from "./replica.ts";
import { type Row, Schema } from "./schema.ts";
import type { Saved } from "./session-types.ts";
import type { Share, SnapshotTraffic } from "./ledger.ts";
import { SnapshotReader } from "./snapshots.ts";
import { Timeline } from "./timeline.ts";
import type { Welcome } from "./wire.ts";

/** Number of the component that says which seat controls an entity. */
const SEAT = 0;
const INPUTS_PER_DATAGRAM_MAX = 32;
/** Ticks that are played at once after a stall; more are skipped. */
const CATCH_UP_MAX = 10;

/** What a game brings: how its input is written, and how its players move. */
export interface PlayedGame<Body, Input> extends Locomotion<Body, Input> {
  /** Empty: plays whatever game the host runs. */
  name: string;
  write(writer: BitWriter, input: Input): void;
  same(a: Input, b: Input): boolean;
  /** The body in the row of the own entity, which is missing while there is none. Without a body no input is sent. */
  body(schema: Schema, row: Row | undefined): Body | undefined;
}

export interface MatchOptions<Body, Input> {
  endpoints: Endpoint[];
  token: string;
  app: string;
  resume?: Saved | undefined;
  game: PlayedGame<Body, Input>;
  /** The input of the next tick. */
  sample: (tick: number) => Input;
  onRoom: (message: RoomMessage["kind"]) => void;
  onSchema: (schema: Schema, timeline: Timeline) => void;
  onState: (state: LinkState) => void;
  onOver: (code: number, message: string) => void;
}

/** Numbers for the net overlay. */
export interface NetStats {
  transport: string;
  rttMs: number;
  lossPercent: number;
  inBytesPerS: number;
  outBytesPerS: number;
  correctionsPerS: number;
  marginTicks: number;
  leadTicks: number;
  delayMs: number;
  traffic: Omit<SnapshotTraffic, "components"> & { components: Share<string>[] };
}

interface Counters {
  at: number;
  bytesIn: number;
  bytesOut: number;
  out: number;
  lost: number;
  corrections: number;
}

/** A match session. */
export class MatchClient<Body, Input> {
  readonly link: Link;
  readonly predictor: Predictor<Body, Input>;
  timeline: Timeline | undefined;
  joined: Joined | undefined;
  tickHz = 60;
  private schema: Schema | undefined;
  private write: (writer: BitWriter, input: Input) => void;
  private readonly snapshots = new SnapshotReader();
  private readonly playout = new Playout();
  private lead: InputLead | undefined;
  private inputs: { tick: number; input: Input }[] = [];
  private inputTick = -1;
  private margin = 0;
  private drawnLag = 0;
  private asked = 0;
  private counters: Counters = { at: performance.now(), bytesIn: 0, bytesOut: 0, out: 0, lost: 0, corrections: 0 };
  private timer: ReturnType<typeof setInterval>;

  constructor(private readonly options: MatchOptions<Body, Input>) {
    this.predictor = new Predictor(options.game);
    this.write = options.game.write;
    const { token, app, resume, game } = options;
    this.link = new Link(
      { token, app, game: game.name, build: "web", schemaHash: 0n, capabilities: [], pingEveryUs: 1_000_000, resume },
      {
        endpoints: options.endpoints,
        lanes: [LANE_CONTROL, LANE_ROOM, LANE_BULK],
        silenceMs: (rtt, variance) => Math.max(300, 3 * rtt + 4 * variance),
        giveUpMs: 60_000,
        onEvent: (event) => this.handle(event),
        onState: options.onState,
      },
    );
    this.timer = setInterval(() => this.pump(), 4);
  }

  /** The entity that this seat controls; 0 while there is none. It may come late, and be another one after a death. */
  get entity(): number {
    const { joined, timeline } = this;
    if (joined === undefined || timeline === undefined) return 0;
    if (timeline.row(joined.entity)?.[SEAT]?.[0] === joined.seat) return joined.entity;
    for (const [id, row] of timeline.rows()) if (row[SEAT]?.[0] === joined.seat) return id;
    return 0;
  }

  /** Server ticks at this moment, not whole; negative before the match starts. */
  serverTick(): number {
    return ((this.link.session.clock.serverTime(nowMicros()) - this.link.session.tick0) * this.tickHz) / 1e6;
  }

  /** The tick to draw remote things at. */
  drawTick(seconds: number): number {
    const now = this.serverTick();
    const tick = this.playout.tick(now, seconds);
    this.drawnLag = now - tick;
    return tick;
  }

  /** How much of the current input tick has passed, 0 to 1. */
  tickPart(): number {
    const ahead = this.serverTick() + this.leadTicks() - this.inputTick;
    return Math.max(0, Math.min(1, ahead));
  }

  /** Rates since the last call. */
  stats(): NetStats {
    const { stats, clock } = this.link.session;
    const now: Counters = { at: performance.now(), bytesIn: stats.bytesIn, bytesOut: stats.bytesOut, out: stats.datagramsOut, lost: stats.datagramsLost, corrections: this.predictor.corrections };
    const old = this.counters;
    this.counters = now;
    const seconds = Math.max(0.001, (now.at - old.at) / 1_000);
    return {
      transport: this.link.transport,
      rttMs: clock.srtt / 1_000,
      lossPercent: now.out > old.out ? Math.min(100, ((now.lost - old.lost) / (now.out - old.out)) * 100) : 0,
      inBytesPerS: (now.bytesIn - old.bytesIn) / seconds,
      outBytesPerS: (now.bytesOut - old.bytesOut) / seconds,
      correctionsPerS: (now.corrections - old.corrections) / seconds,
      marginTicks: this.margin / 4,
      leadTicks: this.leadTicks(),
      delayMs: (this.drawnLag / this.tickHz) * 1_000,
      traffic: this.traffic(seconds),
    };
  }

  private traffic(seconds: number): NetStats["traffic"] {
    const { components, ...traffic } = this.snapshots.ledger.take(seconds);
    const name = (component: number) => this.schema?.components[component]?.name ?? `${component}`;
    return { ...traffic, components: components.map(({ of, bytesPerS }) => ({ of: name(of), bytesPerS })) };
  }

  /** Asks something of the game, reliably; the answer comes to `onRoom` with the number returned here. */
  request(kind: number, body: Uint8Array): number {
    const id = ++this.asked;
    this.send({ case: "request", value: create(RequestSchema, { id, kind, body }) });
    return id;
  }

  /** Leaves the match for good. */
  leave(): void {
    clearInterval(this.timer);
    this.link.close();
  }

  private handle(event: LinkEvent): void {
    if (event.kind === "attached") this.attached(event.welcome);
    else if (event.kind === "message" && event.lane === LANE_ROOM) this.room(event.payload);
    else if (event.kind === "message" && event.lane === LANE_BULK) this.part(event.payload);
    else if (event.kind === "datagram-received" && event.lane === LANE_SNAPSHOT) this.snapshot(event.payload);
    else if (event.kind === "closed" || event.kind === "refused") {
      clearInterval(this.timer);
      this.options.onOver(event.code, event.message);
    }
  }

  private attached(welcome: Welcome): void {
    this.tickHz = welcome.tickHz || this.tickHz;
    this.lead = undefined;
    this.inputs = [];
  }

  private room(payload: Uint8Array): void {
    const { kind } = fromBinary(RoomMessageSchema, payload);
    if (kind.case === "joined") this.join(kind.value);
    else if (kind.case === "tables") this.takeTables(kind.value);
    this.options.onRoom(kind);
  }

  private join(joined: Joined): void {
    const before = this.joined;
    this.joined = joined;
    if (before !== undefined && before.schemaJson === joined.schemaJson) return;
    this.schema = Schema.parse(joined.schemaJson);
    this.write = fitted(this.schema.input, this.options.game.write);
    this.timeline = new Timeline(this.schema, this.tickHz);
    this.options.onSchema(this.schema, this.timeline);
    for (const snapshot of this.snapshots.begin(this.schema, this.tickHz)) this.apply(snapshot);
  }

  /** Says that snapshots may be written in these tables. Without that word they go on in the plain codes. */
  private takeTables({ set, hash, data }: Tables): void {
    if (this.schema === undefined || !this.snapshots.addTables(this.schema, set, data)) return;
    this.send({ case: "tablesReady", value: create(TablesReadySchema, { hash }) });
  }

  private send(kind: PlayerMessage["kind"]): void {
    this.link.send(LANE_ROOM, toBinary(PlayerMessageSchema, create(PlayerMessageSchema, { kind })));
  }

  private snapshot(payload: Uint8Array): void {
    const snapshot = this.snapshots.take(payload);
    if (snapshot !== undefined) this.apply(snapshot);
  }

  /** A part of the world that was too large for datagrams. */
  private part(payload: Uint8Array): void {
    const { number, snapshot } = fromBinary(WorldPartSchema, payload);
    const read = this.snapshots.takePart(snapshot);
    if (read !== undefined) this.timeline?.pushPart(read.tick, read.rows);
    this.send({ case: "partRead", value: create(PartReadSchema, { number, dropped: read === undefined }) });
  }

  private apply(snapshot: Snapshot): void {
    if (this.timeline === undefined || this.schema === undefined) return;
    if (snapshot.restarted) this.timeline.clear();
    this.timeline.push(snapshot.tick, snapshot.rows, [...snapshot.gone, ...snapshot.hidden]);
    this.playout.arrived(this.serverTick(), snapshot.tick);
    const { applied, margin, late } = snapshot;
    if (applied !== undefined) this.inputs = this.inputs.filter(({ tick }) => tick > applied);
    if (margin !== undefined && this.lead !== undefined) {
      this.margin = margin;
      this.lead.onMargin(nowMicros(), margin, late, this.link.session.clock.srtt);
    }
    const body = this.options.game.body(this.schema, this.timeline.row(this.entity));
    if (body !== undefined) this.predictor.confirm(snapshot.tick, body);
  }

  private pump(): void {
    const { session } = this.link;
    if (!session.isAttached || !session.clock.isSet || !this.predictor.ready) return;
    this.lead ??= new InputLead(Math.floor(1e6 / this.tickHz), session.clock.srtt);
    const now = nowMicros();
    this.lead.advance(now, session.clock.offset(now));
    const target = Math.floor(this.serverTick() + this.leadTicks());
    const behind = target - Math.max(this.inputTick, this.predictor.tick);
    if (behind <= 0) return;
    if (behind > CATCH_UP_MAX || this.inputTick < 0) this.inputTick = target - 1;
    this.inputTick = Math.max(this.inputTick, this.predictor.tick);
    while (this.inputTick < target) {
      this.inputTick += 1;
      const input = this.options.sample(this.inputTick);
      this.inputs.push({ tick: this.inputTick, input });
      this.predictor.advance(this.inputTick, input);
    }
    this.sendInputs();
  }

  private leadTicks(): number {
    return ((this.lead?.lead ?? 0) * this.tickHz) / 1e6;
  }

  private sendInputs(): void {
    const newest = this.inputs.slice(-INPUTS_PER_DATAGRAM_MAX);
    // A gap (a stall of this page) ends the run: the ticks of one datagram are consecutive.
    let first = newest.length - 1;
    while (first > 0 && newest[first - 1]!.tick === newest[first]!.tick - 1) first -= 1;
    this.inputs = newest.slice(first);
    const inputs = this.inputs.map(({ input }) => input);
    if (inputs.length === 0) return;
    this.link.sendDatagram(LANE_INPUT, encodeInputs(this.inputTick, inputs, this.write, this.options.game.same));
  }
}
