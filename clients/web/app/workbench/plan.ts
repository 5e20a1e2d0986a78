// Which hands move which number of an input, for any game: found in its schema.

import { stepOf } from "../../src/message.ts";
import type { InputField, InputSchema } from "../../src/schema.ts";

/** Keys of buttons, in the order in which a schema's bools take them. */
const KEYS: readonly (readonly [code: string, label: string])[] = [
  ["Space", "Space"],
  ["Shift", "Shift"],
  ["KeyE", "E"],
  ["KeyQ", "Q"],
  ["KeyF", "F"],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((digit) => [`Digit${digit}`, String(digit)] as const),
];
const ANGLE_NAME = /yaw|angle|aim|turn|heading|facing|look|direction|rotation/i;
const FULL_TURN = 2 * Math.PI;

/** A bool with its key; past the last key it has none. */
export interface Button {
  field: number;
  name: string;
  code: string | undefined;
  label: string | undefined;
}

/** Fields of an input by what moves them, as indices. */
export interface Plan {
  fields: readonly InputField[];
  stick: { right: number; up: number } | undefined;
  pointer: number | undefined;
  buttons: Button[];
  sliders: number[];
}

/** Gives each number of an input to a hand. */
export function planOf({ fields }: InputSchema): Plan {
  const numbers = fields.map((_, i) => i).filter((i) => fields[i]!.kind !== "bool");
  const pointer = numbers.find((i) => isAngle(fields[i]!));
  const signed = numbers.filter((i) => i !== pointer && fields[i]!.min < 0 && fields[i]!.max > 0);
  const [right, up] = signed;
  const stick = right === undefined || up === undefined ? undefined : { right, up };
  const taken = [pointer, stick?.right, stick?.up];
  const bools = fields.map((_, i) => i).filter((i) => fields[i]!.kind === "bool");
  const buttons = bools.map((field, i) => ({ field, name: fields[field]!.name, code: KEYS[i]?.[0], label: KEYS[i]?.[1] }));
  return { fields, stick, pointer, buttons, sliders: numbers.filter((i) => !taken.includes(i)) };
}

/** A direction: a whole turn of a 16-bit number, or of another number with such a name. */
function isAngle(field: InputField): boolean {
  const named = ANGLE_NAME.test(field.name);
  if (field.kind === "f32") return named && Math.abs((field.max - field.min) * stepOf(field.unit) - FULL_TURN) < 0.2;
  const bits = Number(field.kind.slice(1));
  const whole = bits <= 16 && field.max - field.min === 2 ** bits - 1;
  return whole && (named || field.kind === "u16");
}

/** The steps of a field that mean this angle, radians. */
export function angleSteps({ kind, unit, min, max }: InputField, angle: number): number {
  const turn = kind === "f32" ? FULL_TURN / stepOf(unit) : 2 ** Number(kind.slice(1));
  let steps = Math.round((angle / FULL_TURN) * turn);
  if (steps < min) steps = Math.round(steps + turn);
  if (steps > max) steps = Math.round(steps - turn);
  return Math.max(min, Math.min(max, steps));
}

/** What hands do at one moment. */
export interface Held {
  /** −1 to 1, right and up. */
  right: number;
  up: number;
  /** Fields of buttons that are pressed. */
  pressed: ReadonlySet<number>;
  /** Radians, where the pointer has a direction. */
  angle: number | undefined;
  /** Steps by field, of sliders. */
  sliders: ReadonlyMap<number, number>;
}

/** The input as steps of each field. */
export function stepsOf(plan: Plan, held: Held): number[] {
  return plan.fields.map((field, i) => {
    if (i === plan.stick?.right) return axis(field, held.right);
    if (i === plan.stick?.up) return axis(field, held.up);
    if (i === plan.pointer) return angleSteps(field, held.angle ?? 0);
    if (field.kind === "bool") return Number(held.pressed.has(i));
    return held.sliders.get(i) ?? restOf(field);
  });
}

/** The whole range on each side of 0. */
function axis({ min, max }: InputField, part: number): number {
  return Math.round(part < 0 ? -part * min : part * max);
}

/** What a number is while nobody moves it: 0, or the nearest to it. */
export function restOf({ min, max }: InputField): number {
  return Math.max(min, Math.min(max, 0));
}
