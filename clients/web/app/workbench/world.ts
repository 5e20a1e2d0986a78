// A match of any game: rows, roster, events and score, whoever delivers them: a seat's snapshots or a spectator's view.

import { readNumbers } from "../../src/message.ts";
import type { Row, Schema } from "../../src/schema.ts";
import type { Timeline } from "../../src/timeline.ts";
import type { SeatInfo } from "../match/arena.ts";
import { Store } from "../store.ts";
import { named, type Place, placeOf, placesOf, tagsOf } from "./place.ts";

/** Number of the component that says which seat controls an entity. */
const SEAT = 0;
const LOG_MAX = 60;

/** An entity at one moment. */
export interface Thing {
  id: number;
  /** In what the steps of its numbers mean: to the right and up. */
  x: number;
  y: number;
  three: boolean;
  seat: SeatInfo | undefined;
  own: boolean;
  tags: string[];
}

/** A line of the log. */
export interface LogLine {
  id: number;
  /** Seconds since the match began. */
  at: number;
  name: string;
  effect: boolean;
  values: { name: string; value: string }[];
}

/** Score of each team and seconds left, as far as they are known. */
export interface Score {
  teams: number[];
  clock: number | undefined;
}

/** What the inspector shows of one entity. */
export interface Inspected {
  id: number;
  components: { name: string; fields: { name: string; value: string }[] }[];
}

/** Rows, roster and events of one match. */
export class World {
  readonly schema = new Store<Schema | undefined>(undefined);
  readonly roster = new Store<SeatInfo[]>([]);
  readonly log = new Store<LogLine[]>([]);
  readonly score = new Store<Score>({ teams: [], clock: undefined });
  /** Entities that are there, for a choice: id and what to call it. */
  readonly entities = new Store<{ id: number; name: string }[]>([]);
  /** The entity that was chosen; `undefined`: the own one. */
  readonly chosen = new Store<number | undefined>(undefined);
  readonly inspected = new Store<Inspected | undefined>(undefined);
  timeline: Timeline | undefined;
  /** Seat of the person at the page. */
  own: number | undefined;
  private places: Place[] = [];
  private seats = new Map<number, SeatInfo>();
  private lines = 0;

  /** `tickHz` may become known late. */
  constructor(private readonly tickHz: () => number) {}

  /** What the rows mean. */
  setSchema(schema: Schema, timeline: Timeline): void {
    this.timeline = timeline;
    this.places = placesOf(schema);
    this.schema.set(schema);
  }

  /** True when some entity can be somewhere. */
  get hasPlaces(): boolean {
    return this.places.length > 0;
  }

  setScore(teams: readonly number[], clock: number | undefined): void {
    const old = this.score.value;
    if (old.clock === clock && old.teams.join() === teams.join()) return;
    this.score.set({ teams: [...teams], clock });
  }

  setRoster(roster: readonly SeatInfo[]): void {
    this.roster.set([...roster]);
    this.seats = new Map(roster.map((seat) => [seat.seat, seat]));
  }

  /** Writes an event of a tick into the log. */
  addEvent(tick: number, kind: number, body: Uint8Array): void {
    const event = this.schema.value?.events[kind - 1];
    const integers = event && readNumbers(body, event.fields.length);
    const line = event === undefined || integers === undefined
      ? { name: `event ${kind}`, effect: false, values: [{ name: "bytes", value: String(body.length) }] }
      : { name: event.name, effect: event.predict, values: named(event.fields, integers).map((value) => this.withName(value)) };
    this.log.set([{ id: this.lines++, at: tick / this.tickHz(), ...line }, ...this.log.value].slice(0, LOG_MAX));
  }

  /** Everything that is somewhere at a tick, which need not be whole. */
  things(tick: number): Thing[] {
    const [schema, out]: [Schema | undefined, Thing[]] = [this.schema.value, []];
    if (schema === undefined || this.timeline === undefined) return out;
    for (const [id, row] of this.timeline.at(tick)) {
      const at = placeOf(schema, this.places, row);
      if (at === undefined) continue;
      const number = row[SEAT]?.[0];
      const seat = number === undefined ? undefined : this.seats.get(number);
      out.push({ id, ...at, seat, own: number !== undefined && number === this.own, tags: tagsOf(schema, row) });
    }
    return out;
  }

  /** Brings the inspector up to date. */
  inspect(): void {
    const rows = [...(this.timeline?.rows() ?? [])];
    const entities = rows.map(([id, row]) => ({ id, name: this.nameOf(id, row) }));
    const key = (list: { id: number; name: string }[]) => list.map(({ id, name }) => `${id} ${name}`).join();
    if (key(entities) !== key(this.entities.value)) this.entities.set(entities);
    const chosen = rows.find(([id]) => id === this.chosen.value);
    const [id, row] = chosen ?? rows.find(([, row]) => row[SEAT]?.[0] !== undefined && row[SEAT][0] === this.own) ?? rows[0] ?? [0, undefined];
    this.inspected.set(row && { id, components: this.componentsOf(row) });
  }

  private componentsOf(row: Row): Inspected["components"] {
    return (this.schema.value?.components ?? []).flatMap(({ name, fields }, number) => {
      const values = row[number];
      if (values === undefined) return [];
      const shown = number === SEAT ? [this.withName({ name: "seat", value: String(values[0]) })] : named(fields, values);
      return [{ name, fields: shown }];
    });
  }

  private nameOf(id: number, row: Row): string {
    const seat = this.seats.get(row[SEAT]?.[0] ?? -1);
    if (seat !== undefined) return seat.name;
    return this.schema.value?.components.find((_, number) => row[number] !== undefined)?.name ?? `entity ${id}`;
  }

  /** A seat's number with the name of whoever sits there. */
  private withName({ name, value }: { name: string; value: string }): { name: string; value: string } {
    const seat = name === "seat" ? this.seats.get(Number(value)) : undefined;
    return { name, value: seat === undefined ? value : `${value} (${seat.name})` };
  }
}
