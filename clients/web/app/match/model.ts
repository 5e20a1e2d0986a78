// One match as the page shows it, whoever delivers it: a seat's snapshots or a spectator's view.

import type { Schema } from "../../src/schema.ts";
import type { Timeline } from "../../src/timeline.ts";
import { Store } from "../store.ts";
import type { Effect, WorldFrame } from "../world/frame.ts";
import { ArenaReader, type ArenaEvent, type Board, effectsOf, isNobody, type Phase, readEvent, type SeatInfo, seatsByIndex } from "./arena.ts";

const FEED_MAX = 5;
const FEED_MS = 6_000;
const EVENTS_WAITING_MAX = 256;

/** A line of the feed. */
export interface FeedLine {
  id: number;
  at: number;
  kind: "kill" | "goal";
  team: number;
  who: string;
  whom: string;
  whomTeam: number;
}

/** What stands above the world. */
export interface MatchHud {
  phase: Phase;
  score: [number, number];
  /** Whole seconds left. */
  clock: number;
  /** Whole seconds until the phase ends; 0 while the ball is in play. */
  phaseLeft: number;
  lastGoal: { team: number; who: string } | undefined;
}

const START: MatchHud = { phase: "kick-off", score: [0, 0], clock: 0, phaseLeft: 0, lastGoal: undefined };

/** Rows, roster and events of one match. */
export class MatchModel {
  readonly hud = new Store<MatchHud>(START);
  readonly feed = new Store<FeedLine[]>([]);
  readonly roster = new Store<SeatInfo[]>([]);
  timeline: Timeline | undefined;
  reader: ArenaReader | undefined;
  private seats = new Map<string, SeatInfo>();
  private waiting: { tick: number; event: ArenaEvent }[] = [];
  private lines = 0;

  constructor(private readonly tickHz: () => number) {}

  /** What the rows mean, and where they are. */
  setSchema(schema: Schema, timeline: Timeline): void {
    this.timeline = timeline;
    this.reader = new ArenaReader(schema);
  }

  setRoster(roster: readonly SeatInfo[]): void {
    this.roster.set([...roster]);
    this.seats = seatsByIndex(roster);
  }

  /** Takes a one-shot event of a tick. */
  addEvent(tick: number, kind: number, body: Uint8Array): void {
    const event = readEvent(kind, body);
    if (event === undefined || this.waiting.length >= EVENTS_WAITING_MAX) return;
    this.waiting.push({ tick, event });
  }

  /** The newest scoreboard. */
  board(): Board | undefined {
    if (this.timeline === undefined || this.reader === undefined) return undefined;
    for (const [, row] of this.timeline.rows()) {
      const board = this.reader.board(row);
      if (board !== undefined) return board;
    }
    return undefined;
  }

  /** The world at a tick, which need not be whole. */
  frame(tick: number): WorldFrame {
    const frame: WorldFrame = { players: [], ball: undefined, crates: [] };
    if (this.timeline === undefined || this.reader === undefined) return frame;
    for (const [id, row] of this.timeline.at(tick)) {
      const player = this.reader.playerView(id, row, this.seats);
      if (player !== undefined) frame.players.push(player);
      const thing = this.reader.thingView(id, row);
      if (thing?.ball === true) frame.ball = thing.view;
      else if (thing !== undefined) frame.crates.push(thing.view);
    }
    return frame;
  }

  /** Effects that are due at `tick`; also writes the feed. */
  due(tick: number, nowMs: number): { effects: Effect[]; events: ArenaEvent[] } {
    const due = this.waiting.filter((waiting) => waiting.tick <= tick);
    if (due.length > 0) this.waiting = this.waiting.filter((waiting) => waiting.tick > tick);
    const events = due.map(({ event }) => event);
    for (const event of events) this.write(event, nowMs);
    const lines = this.feed.value;
    if (lines.some(({ at }) => nowMs - at > FEED_MS)) this.feed.set(lines.filter(({ at }) => nowMs - at <= FEED_MS));
    return { effects: events.flatMap((event) => effectsOf(event, (seat) => this.teamOf(seat))), events };
  }

  /** Brings score and clock up to `tick`. */
  refresh(tick: number): void {
    const board = this.board();
    if (board === undefined) return;
    const seconds = (until: number) => Math.max(0, Math.ceil((until - tick) / this.tickHz()));
    const phaseLeft = board.phase === "kick-off" || board.phase === "goal" ? Math.min(9, seconds(board.phaseUntil)) : 0;
    const next: MatchHud = { ...this.hud.value, phase: board.phase, score: board.goals, clock: seconds(board.endsAt), phaseLeft };
    const old = this.hud.value;
    const same = old.phase === next.phase && old.score[0] === next.score[0] && old.score[1] === next.score[1] && old.clock === next.clock && old.phaseLeft === next.phaseLeft;
    if (!same) this.hud.set(next);
  }

  /** The seat with this number. */
  seat(number: number): SeatInfo | undefined {
    return this.roster.value.find(({ seat }) => seat === number);
  }

  private teamOf(seat: number): number {
    return this.seat(seat)?.team ?? 0;
  }

  private write(event: ArenaEvent, at: number): void {
    if (event.kind === "goal") {
      const who = isNobody(event.seat) ? "" : (this.seat(event.seat)?.name ?? "");
      this.hud.set({ ...this.hud.value, lastGoal: { team: event.team, who } });
      this.line({ at, kind: "goal", team: event.team, who, whom: "", whomTeam: event.team });
    } else if (event.kind === "death") {
      const [who, whom] = [this.seat(event.killer), this.seat(event.seat)];
      this.line({ at, kind: "kill", team: who?.team ?? 0, who: who?.name ?? "", whom: whom?.name ?? "", whomTeam: whom?.team ?? 0 });
    }
  }

  private line(line: Omit<FeedLine, "id">): void {
    this.feed.set([...this.feed.value, { ...line, id: this.lines++ }].slice(-FEED_MAX));
  }
}
