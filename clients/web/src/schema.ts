// What the rows of a game mean: the schema a room sends in `Joined` and a view carries in its keyframes.

import { Curve } from "./curve.ts";
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
  /** The field that it moves by, in its own unit per second. */
  velocity?: string;
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
  /** How components are drawn in time, by number. */
  readonly curves: readonly Curve[];
  private readonly numbers: Map<string, number>;

  constructor(readonly components: readonly ComponentSchema[], { input, events, requests }: Messages = {}) {
    this.numbers = new Map(components.map(({ name }, number) => [name, number]));
    const courses = components.map((component) => Course.of(component));
    this.courses = courses.some((course) => course !== undefined) ? courses : [];
    this.curves = components.map((component) => new Curve(component));
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
