// What the rows of a game mean: the schema a room sends in `Joined` and a view carries in its keyframes.

import { Course } from "./reckon.ts";

export type LerpKind = "linear" | "step" | "angle" | "quaternion" | "smallest_three";

/** A number of a message: of an event, a request or an answer. */
export interface NumberSchema {
  name: string;
  /** What one step means: `1`, `1/512`, `0.25`, … An `f32` is a whole number of steps. */
  unit: string;
  kind: "bool" | "i8" | "i16" | "i32" | "u8" | "u16" | "u32" | "f32";
}

/** A number of a component. */
export interface FieldSchema extends NumberSchema {
  lerp: LerpKind;
}

export interface ComponentSchema {
  name: string;
  predict: boolean;
  interpolate: boolean;
  /** Who is told of it; without it everyone. */
  seen_by?: "team" | "owner";
  fields: FieldSchema[];
  /** How it goes on by itself: pairs of a field and the one it moves by; first fields of rotations and the three of their spins. */
  reckon?: { moves: [string, string][]; turns: [string, string, string, string][] };
}

/** A number of the input: `value - min` in `bits` bits. */
export interface InputField extends NumberSchema {
  /** Bounds in steps. */
  min: number;
  max: number;
  bits: number;
  late: "hold" | "release" | "fade";
}

/** What a player says per tick. */
export interface InputSchema {
  name: string;
  fields: InputField[];
}

/** A list of numbers with a name. */
export interface MessageSchema {
  name: string;
  fields: NumberSchema[];
}

/** What the game says once. */
export interface EventSchema extends MessageSchema {
  /** An effect: the client of the seat in the number `by` may show it before the server says it. */
  predict: boolean;
  by?: number;
}

/** What a player asks for. */
export interface RequestSchema extends MessageSchema {
  answer: MessageSchema;
}

/** What a game has beside components. */
export interface Messages {
  /** Missing where the game lays its input out by itself. */
  input?: InputSchema;
  events?: EventSchema[];
  requests?: RequestSchema[];
}

/** Components by number; events and requests by kind, which counts from 1. */
export class Schema {
  readonly input: InputSchema | undefined;
  readonly events: readonly EventSchema[];
  readonly requests: readonly RequestSchema[];
  /** How components go on by themselves, by number; empty when none does. */
  readonly courses: readonly (Course | undefined)[];
  private readonly numbers: Map<string, number>;

  constructor(readonly components: readonly ComponentSchema[], { input, events, requests }: Messages = {}) {
    this.numbers = new Map(components.map(({ name }, number) => [name, number]));
    const courses = components.map((component) => Course.of(component));
    this.courses = courses.some((course) => course !== undefined) ? courses : [];
    this.input = input;
    this.events = events ?? [];
    this.requests = requests ?? [];
  }

  static parse(json: string): Schema {
    const parsed = JSON.parse(json) as { components: ComponentSchema[] } & Messages;
    return new Schema(parsed.components, parsed);
  }

  /** Number of the component with this name; −1 when there is none. */
  component(name: string): number {
    return this.numbers.get(name) ?? -1;
  }
}

/**
 * The integers of one entity, by component number; `undefined` where it has no such component. Behind the last component
 * stands the tick that what is reckoned is of, if something is.
 */
export type Row = readonly (readonly number[] | undefined)[];

/** The row at the fraction `t` of the way from `a` to `b`: numbers that need not be whole. */
export function blend(schema: Schema, a: Row, b: Row, t: number): Row {
  return a.map((from, number) => {
    const to = b[number];
    const component = schema.components[number];
    if (from === undefined || to === undefined || component === undefined || !component.interpolate) return from;
    return blendComponent(component, from, to, t);
  });
}

/** A component at the fraction `t` of the way from `a` to `b`. */
export function blendComponent({ fields }: ComponentSchema, a: readonly number[], b: readonly number[], t: number): number[] {
  const out = fields.map(({ lerp, kind }, i) => {
    const [from, to] = [a[i]!, b[i]!];
    if (lerp === "linear") return from + (to - from) * t;
    if (lerp === "angle") return from + shorterWay(to - from, fullTurn(kind)) * t;
    return from;
  });
  const first = fields.findIndex(({ lerp }) => lerp === "quaternion");
  if (first >= 0) blendQuaternion(a, b, t, first, out);
  return out;
}

function fullTurn(kind: FieldSchema["kind"]): number {
  return kind === "i8" || kind === "u8" ? 256 : kind === "i16" || kind === "u16" ? 65_536 : 2 ** 32;
}

function shorterWay(way: number, full: number): number {
  return ((((way + full / 2) % full) + full) % full) - full / 2;
}

function blendQuaternion(a: readonly number[], b: readonly number[], t: number, first: number, out: number[]): void {
  let dot = 0;
  for (let i = first; i < first + 4; i++) dot += a[i]! * b[i]!;
  const sign = dot < 0 ? -1 : 1;
  for (let i = first; i < first + 4; i++) out[i] = a[i]! + (b[i]! * sign - a[i]!) * t;
}
