// Rotations in whole numbers: smallest-three quaternions, extrapolated, exactly as `shared/replica/src/coding/turn.rs` does it.

/** Length of a quaternion, and 1 in fixed point. */
const UNIT = 2 ** 14;
/** √½ · `UNIT` · 2¹⁶. */
const HALF_ROOT = 759_250_125;

export type Quaternion = [number, number, number, number];
/** Half a rotation's angle along its axis; `UNIT` is 1 rad. */
export type Vector3 = [number, number, number];

const down = (dividend: number, divisor: number) => Math.floor(dividend / divisor);
const toZero = (dividend: number, divisor: number) => Math.trunc(dividend / divisor);

/** Which part is the largest. */
export function largestOf(of: Quaternion): number {
  let most = 0;
  for (let part = 1; part < 4; part++) if (Math.abs(of[part]!) > Math.abs(of[most]!)) most = part;
  return most;
}

/** The other three parts, as they stand in a rotation whose largest part is `largest`. */
export function partsOf(of: Quaternion, largest: number, steps: number): Vector3 {
  const sign = of[largest]! < 0 ? -1 : 1;
  const others = [0, 1, 2, 3].filter((part) => part !== largest);
  return others.map((part) => {
    const scaled = down(of[part]! * sign * steps * 2 ** 16 + HALF_ROOT * (steps + 1), 2 * HALF_ROOT);
    return Math.max(0, Math.min(steps, scaled));
  }) as Vector3;
}

/** How a rotation turns from one row to a later one. */
export function turn(from: readonly number[], to: readonly number[], steps: number): Vector3 {
  const [x, y, z, w] = unpacked(from, steps);
  return logarithm(product(unpacked(to, steps), [-x, -y, -z, w]));
}

/** The rotation `age` ticks after a row that turns by `halfTurn` in `step` ticks. */
export function extrapolated(row: readonly number[], steps: number, halfTurn: Vector3, age: number, step: number): Quaternion {
  const scaled = halfTurn.map((part) => down(part * age, step)) as Vector3;
  return product(exponential(scaled), unpacked(row, steps));
}

/** The quaternion of a rotation. Any integers give some quaternion. */
function unpacked(row: readonly number[], steps: number): Quaternion {
  const largest = row[0]! & 3;
  const out: Quaternion = [0, 0, 0, 0];
  let squares = 0;
  const others = [0, 1, 2, 3].filter((part) => part !== largest);
  others.forEach((part, i) => {
    const centred = 2 * Math.max(0, Math.min(steps, row[1 + i]!)) - steps;
    out[part] = down(centred * HALF_ROOT, steps * 2 ** 16);
    squares += out[part]! * out[part]!;
  });
  out[largest] = root(UNIT * UNIT - squares);
  return out;
}

function product([ax, ay, az, aw]: Quaternion, [bx, by, bz, bw]: Quaternion): Quaternion {
  const parts = [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
  return parts.map((part) => down(part + UNIT / 2, UNIT)) as Quaternion;
}

/** The squares of a vector's length, and their second and third powers, in fixed point. */
function powers([x, y, z]: Vector3): [number, number, number] {
  const squares = down(x * x + y * y + z * z, UNIT);
  const fourth = down(squares * squares, UNIT);
  return [squares, fourth, down(fourth * squares, UNIT)];
}

/** Arc sine as a series. */
function logarithm([x, y, z, w]: Quaternion): Vector3 {
  const sign = w < 0 ? -1 : 1;
  const [squares, fourth, sixth] = powers([x, y, z]);
  const factor = UNIT + toZero(squares, 6) + toZero(3 * fourth, 40) + toZero(15 * sixth, 336);
  return [x, y, z].map((part) => down(part * sign * factor + UNIT / 2, UNIT)) as Vector3;
}

/** Sine and cosine as series; angles beyond 3 rad stay there. */
function exponential(halfTurn: Vector3): Quaternion {
  const limit = (UNIT * 3) / 2;
  const most = Math.max(...halfTurn.map(Math.abs));
  const kept = most > limit ? (halfTurn.map((part) => down(part * limit, most)) as Vector3) : halfTurn;
  const [squares, fourth, sixth] = powers(kept);
  const sine = UNIT - toZero(squares, 6) + toZero(fourth, 120) - toZero(sixth, 5_040);
  const cosine = UNIT - toZero(squares, 2) + toZero(fourth, 24) - toZero(sixth, 720);
  const [x, y, z] = kept.map((part) => down(part * sine + UNIT / 2, UNIT)) as Vector3;
  const rest = root(UNIT * UNIT - x * x - y * y - z * z);
  return [x, y, z, cosine < 0 ? -rest : rest];
}

/** The whole part of a square root; 0 for negative numbers. */
function root(square: number): number {
  return Math.floor(Math.sqrt(Math.max(0, square)));
}
