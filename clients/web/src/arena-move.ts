// How a player of the Arena moves against the static blocks: the port of `server/arena/src/movement.rs`, integer by
// integer. Lengths are 1/4096 m, speeds 1/4096 m per tick, angles 65,536 per turn (0 looks along +x, a quarter
// along −z). `shared/vectors/arena-move` pins the results.

export const METRE = 4_096;
export const TURN = 65_536;
const QUARTER = TURN / 4;
const ONE = 16_384;

/** Half the width and depth of a player. */
export const HALF_WIDTH = 1_536;
export const HEIGHT = 7_372;
export const EYE_HEIGHT = 6_554;
export const RUN_SPEED = 512;
const GROUND_ACCELERATION = 56;
const GROUND_FRICTION = 40;
const SLIDE_FRICTION = 24;
const AIR_ACCELERATION = 12;
const JUMP_SPEED = 585;
const GRAVITY = 25;
const FALL_SPEED_MAX = 2_048;
const SPEED_MAX = 4_095;
const STEP_HEIGHT = 1_434;
const COYOTE_TICKS = 6;
const AIR_SPENT = 255;
export const HOLD_FREE = 0;
export const HOLD_STILL = 1;
export const HOLD_DEAD = 2;
const SLIDE_SPEED = RUN_SPEED + 16;

/** Steepest look up or down. */
export const PITCH_MAX = 15_000;
export const BUTTON_JUMP = 1;
export const BUTTON_SHOVE = 2;
export const BUTTON_FIRE = 4;

export type Vec3 = [number, number, number];

/** What a player wants in one tick. */
export interface ArenaInput {
  buttons: number;
  /** Running to the right, −127 to 127 of the full speed. */
  moveX: number;
  /** Running ahead, −127 to 127 of the full speed. */
  moveY: number;
  yaw: number;
  pitch: number;
}

/** Where a player is and how it moves. */
export interface PlayerBody {
  /** Feet. */
  x: number;
  y: number;
  z: number;
  vx: number;
  vy: number;
  vz: number;
  yaw: number;
  pitch: number;
  /** Ticks since the feet left the ground; 255 after a jump. */
  air: number;
  hold: number;
}

/** An axis-aligned box. */
export interface Box {
  min: Vec3;
  max: Vec3;
}

/** What stands in the way: blocks are solid, ledges only for feet from above. */
export interface Statics {
  blocks: readonly Box[];
  ledges: readonly Box[];
}

export const NO_INPUT: ArenaInput = { buttons: 0, moveX: 0, moveY: 0, yaw: 0, pitch: 0 };

/** Sine in 1/16,384 of an angle in 65,536 per turn. */
export function sin(angle: number): number {
  const part = angle % QUARTER;
  const quadrant = Math.trunc(angle / QUARTER);
  const z = quadrant % 2 === 0 ? part : QUARTER - part;
  const z2 = (z * z) >> 14;
  const inner = 10_512 - ((z2 * 1_160) >> 14);
  const outer = 25_736 - ((z2 * inner) >> 14);
  const value = (z * outer) >> 14;
  return quadrant < 2 ? value : 0 - value;
}

/** Cosine, see `sin`. */
export function cos(angle: number): number {
  return sin((angle + QUARTER) % TURN);
}

/** One tick of a player. `body` is not changed. */
export function step(from: Readonly<PlayerBody>, input: Readonly<ArenaInput>, statics: Statics): PlayerBody {
  const body = { ...from, yaw: input.yaw, pitch: input.pitch };
  if (body.hold === HOLD_DEAD) {
    body.vx = body.vy = body.vz = 0;
    return body;
  }
  body.vx = clamp(body.vx, SPEED_MAX);
  body.vy = clamp(body.vy, SPEED_MAX);
  body.vz = clamp(body.vz, SPEED_MAX);
  const free = body.hold === HOLD_FREE;
  const onGround = body.air === 0;
  steer(body, free ? wish(input) : undefined, onGround);
  const jumps = free && (input.buttons & BUTTON_JUMP) !== 0 && body.air <= COYOTE_TICKS;
  if (jumps) {
    body.vy = JUMP_SPEED;
    body.air = AIR_SPENT;
  }
  body.vy = Math.max(body.vy - GRAVITY, -FALL_SPEED_MAX);
  slide(body, 0, onGround, statics);
  slide(body, 2, onGround, statics);
  fall(body, onGround && !jumps, statics);
  return body;
}

/** The velocity on the ground that the input asks for; `undefined` without a direction. */
function wish(input: ArenaInput): [number, number] | undefined {
  let right = Math.max(input.moveX, -127);
  let ahead = Math.max(input.moveY, -127);
  if (right === 0 && ahead === 0) return undefined;
  const square = right * right + ahead * ahead;
  if (square > 127 * 127) {
    const length = isqrt(square);
    right = Math.trunc((right * 127) / length);
    ahead = Math.trunc((ahead * 127) / length);
  }
  const [s, c] = [sin(input.yaw), cos(input.yaw)];
  const scale = (value: number) => divide(value * RUN_SPEED, 127 * ONE);
  return [scale(c * ahead + s * right), scale(c * right - s * ahead)];
}

/** Bends the velocity on the ground towards `wished`. */
function steer(body: PlayerBody, wished: [number, number] | undefined, onGround: boolean): void {
  const tooFast = body.vx * body.vx + body.vz * body.vz > SLIDE_SPEED * SLIDE_SPEED;
  if (!onGround && wished === undefined) return;
  const [targetX, targetZ] = wished ?? [0, 0];
  let rate = AIR_ACCELERATION;
  if (onGround) rate = tooFast ? SLIDE_FRICTION : wished !== undefined ? GROUND_ACCELERATION : GROUND_FRICTION;
  const [x, z] = [targetX - body.vx, targetZ - body.vz];
  const square = x * x + z * z;
  if (square <= rate * rate) {
    body.vx = targetX;
    body.vz = targetZ;
  } else {
    const length = isqrt(square);
    body.vx += divide(x * rate, length);
    body.vz += divide(z * rate, length);
  }
}

/** Moves along one axis of the ground, up a low step where one is in the way. */
function slide(body: PlayerBody, axis: 0 | 2, onGround: boolean, statics: Statics): void {
  const speed = axis === 0 ? body.vx : body.vz;
  if (speed === 0) return;
  let feet: Vec3 = [body.x, body.y, body.z];
  const moved = sweep(feet, axis, speed, statics);
  feet[axis] += moved;
  let rest = speed - moved;
  if (rest !== 0 && onGround) {
    const raised = sweep(feet, 1, STEP_HEIGHT, statics);
    const over: Vec3 = [...feet];
    over[1] += raised;
    const onto = sweep(over, axis, rest, statics);
    if (onto !== 0) {
      over[axis] += onto;
      over[1] += sweep(over, 1, -raised, statics);
      feet = over;
      rest -= onto;
    }
  }
  [body.x, body.y, body.z] = feet;
  if (rest !== 0) body[axis === 0 ? "vx" : "vz"] = 0;
}

/** Moves up or down; `stuck` feet follow the ground down a low step. */
function fall(body: PlayerBody, stuck: boolean, statics: Statics): void {
  const moved = sweep([body.x, body.y, body.z], 1, body.vy, statics);
  body.y += moved;
  if (moved !== body.vy) {
    if (body.vy < 0) body.air = 0;
    body.vy = 0;
    return;
  }
  if (stuck && body.vy < 0) {
    const down = sweep([body.x, body.y, body.z], 1, -STEP_HEIGHT, statics);
    if (down !== -STEP_HEIGHT) {
      body.y += down;
      body.vy = 0;
      body.air = 0;
      return;
    }
  }
  if (body.air < AIR_SPENT - 1) body.air += 1;
}

/** How far of `distance` a body with its feet at `feet` gets along `axis`. Blocks it overlaps do not stop it. */
function sweep(feet: Vec3, axis: 0 | 1 | 2, distance: number, statics: Statics): number {
  const low: Vec3 = [feet[0] - HALF_WIDTH, feet[1], feet[2] - HALF_WIDTH];
  const high: Vec3 = [feet[0] + HALF_WIDTH, feet[1] + HEIGHT, feet[2] + HALF_WIDTH];
  const [a, b] = [(axis + 1) % 3, (axis + 2) % 3] as [0 | 1 | 2, 0 | 1 | 2];
  const beside = ({ min, max }: Box) => low[a] >= max[a] || high[a] <= min[a] || low[b] >= max[b] || high[b] <= min[b];
  let left = distance;
  for (const block of statics.blocks) {
    if (beside(block)) continue;
    if (distance > 0 && block.min[axis] >= high[axis]) left = Math.min(left, block.min[axis] - high[axis]);
    else if (distance < 0 && block.max[axis] <= low[axis]) left = Math.max(left, block.max[axis] - low[axis]);
  }
  if (axis === 1 && distance < 0) {
    for (const ledge of statics.ledges) {
      if (!beside(ledge) && ledge.max[1] <= low[1]) left = Math.max(left, ledge.max[1] - low[1]);
    }
  }
  return left;
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit);
}

/** Division that cuts towards zero and never gives −0. */
function divide(value: number, by: number): number {
  return Math.trunc(value / by) + 0;
}

function isqrt(value: number): number {
  return Math.floor(Math.sqrt(value));
}
