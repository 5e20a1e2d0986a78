// Where things are: places, names and values found in a schema of any game.

import { stepOf, valueOf } from "../../src/message.ts";
import type { ComponentSchema, FieldSchema, NumberSchema, Row, Schema } from "../../src/schema.ts";

/** Fields of a component that say where an entity is, by index. */
export interface Place {
  component: number;
  /** To the right, and up on the screen: of three numbers the first and the third, as the second is height. */
  right: number;
  up: number;
  /** Three numbers, y up: a turn to the left seen from above leads from +x to −z. */
  three: boolean;
}

/** Every component that says where an entity is. An entity is at the first of them that it has. */
export function placesOf(schema: Schema): Place[] {
  return schema.components.flatMap(({ fields }, component) => {
    const place = ofArray(fields) ?? ofNames(fields);
    return place === undefined ? [] : [{ component, ...place }];
  });
}

type Axes = Omit<Place, "component">;

/** Two or three parts of one array. */
function ofArray(fields: FieldSchema[]): Axes | undefined {
  for (const group of groups(fields)) {
    const parts = group.indices;
    if (!group.array || parts.length < 2 || parts.length > 3 || !parts.every((i) => isLinear(fields[i]!))) continue;
    return { right: parts[0]!, up: parts.at(-1)!, three: parts.length === 3 };
  }
  return undefined;
}

/** `x` and `y`, or `x`, `y` and `z`. */
function ofNames(fields: FieldSchema[]): Axes | undefined {
  const at = (name: string) => fields.findIndex((field) => field.name === name && isLinear(field));
  const [right, y, z] = [at("x"), at("y"), at("z")];
  if (right < 0 || (y < 0 && z < 0)) return undefined;
  return { right, up: z < 0 ? y : z, three: z >= 0 };
}

function isLinear({ lerp, kind }: FieldSchema): boolean {
  return lerp === "linear" && kind !== "bool";
}

/** Where an entity is, in what the steps of its numbers mean; `undefined` when nothing says so. */
export function placeOf(schema: Schema, places: readonly Place[], row: Row): { x: number; y: number; three: boolean } | undefined {
  for (const { component, right, up, three } of places) {
    const values = row[component];
    if (values === undefined) continue;
    const { fields } = schema.components[component]!;
    return { x: values[right]! * stepOf(fields[right]!.unit), y: values[up]! * stepOf(fields[up]!.unit), three };
  }
  return undefined;
}

/** A field, or the parts of an array that follow each other as `name.0`, `name.1`, … */
export interface Group {
  name: string;
  array: boolean;
  indices: number[];
}

/** Fields by name, arrays together. */
export function groups(fields: readonly NumberSchema[]): Group[] {
  const out: Group[] = [];
  fields.forEach(({ name }, i) => {
    const [, base, part] = /^(.*)\.(\d+)$/.exec(name) ?? [];
    const last = out.at(-1);
    if (base !== undefined && Number(part) > 0 && last?.name === base && last.indices.length === Number(part)) last.indices.push(i);
    else out.push({ name: base ?? name, array: base !== undefined, indices: [i] });
  });
  return out;
}

/** A number as people read it. */
export function text(field: NumberSchema, integer: number): string {
  const value = valueOf(field, integer);
  if (field.kind === "bool") return value === 1 ? "yes" : "no";
  if (field.kind !== "f32") return String(value).replace("-", "−");
  const digits = Math.max(0, Math.min(4, Math.ceil(-Math.log10(stepOf(field.unit)))));
  return value.toFixed(digits).replace("-", "−");
}

/** Names and values of a list of numbers, arrays as one. */
export function named(fields: readonly NumberSchema[], integers: readonly number[]): { name: string; value: string }[] {
  return groups(fields).map(({ name, indices }) => ({ name, value: indices.map((i) => text(fields[i]!, integers[i] ?? 0)).join(", ") }));
}

/** Names of the bools of a row that are true. */
export function tagsOf(schema: Schema, row: Row): string[] {
  return schema.components.flatMap((component, number) => trueOnes(component, row[number]));
}

function trueOnes({ fields }: ComponentSchema, values: readonly number[] | undefined): string[] {
  if (values === undefined) return [];
  return fields.filter(({ kind }, i) => kind === "bool" && values[i] !== 0).map(({ name }) => name);
}
