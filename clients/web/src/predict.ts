// Prediction of the own player: inputs are played at once, and played again on every state from the server.

/** What a game tells about its locomotion. */
export interface Locomotion<Body, Input> {
  step(body: Body, input: Input): Body;
  equal(a: Body, b: Body): boolean;
  /** Where the body is drawn. */
  place(body: Body): [number, number, number];
}

const HISTORY_MAX = 128;
/** A jump farther than this is not smoothed, metres. */
const SNAP_M = 3;
/** The error that is still seen halves in this time, seconds. */
const HALF_LIFE_S = 0.05;

/** The own body ahead of the server. */
export class Predictor<Body, Input> {
  /** Newest predicted tick. */
  tick = -1;
  /** Corrections that were seen. */
  corrections = 0;
  private history = new Map<number, { input: Input; body: Body }>();
  private current: Body | undefined;
  private before: Body | undefined;
  private error: [number, number, number] = [0, 0, 0];

  constructor(private readonly game: Locomotion<Body, Input>) {}

  get ready(): boolean {
    return this.current !== undefined;
  }

  /** The newest predicted body. */
  get body(): Body | undefined {
    return this.current;
  }

  /** Plays the input of the next tick. */
  advance(tick: number, input: Input): void {
    if (this.current === undefined) return;
    this.before = this.current;
    this.current = this.game.step(this.current, input);
    this.tick = tick;
    this.history.set(tick, { input, body: this.current });
    this.history.delete(tick - HISTORY_MAX);
  }

  /** The body at `tick` as the server has it. */
  confirm(tick: number, body: Body): void {
    const predicted = this.history.get(tick)?.body;
    if (this.current === undefined || tick >= this.tick) return this.restart(tick, body);
    if (predicted !== undefined && this.game.equal(predicted, body)) return;
    const shown = this.game.place(this.current);
    this.replay(tick, body);
    const place = this.game.place(this.current);
    const jump = shown.map((value, axis) => value - place[axis]!) as [number, number, number];
    if (predicted !== undefined) this.corrections += 1;
    const total = this.error.map((value, axis) => value + jump[axis]!) as [number, number, number];
    this.error = Math.hypot(...total) > SNAP_M ? [0, 0, 0] : total;
  }

  /** Where to draw the own body: `part` of the way from the tick before to the newest, plus what is left of old errors. */
  place(part: number, seconds: number): [number, number, number] | undefined {
    if (this.current === undefined) return undefined;
    const fade = 0.5 ** (seconds / HALF_LIFE_S);
    this.error = this.error.map((value) => value * fade) as [number, number, number];
    const to = this.game.place(this.current);
    const from = this.before === undefined ? to : this.game.place(this.before);
    const far = Math.hypot(to[0] - from[0], to[1] - from[1], to[2] - from[2]) > SNAP_M;
    return to.map((value, axis) => (far ? value : from[axis]! + (value - from[axis]!) * part) + this.error[axis]!) as [number, number, number];
  }

  private restart(tick: number, body: Body): void {
    this.tick = tick;
    this.before = this.current = body;
    this.history.clear();
    this.error = [0, 0, 0];
  }

  private replay(tick: number, body: Body): void {
    let at = body;
    for (let next = tick + 1; next <= this.tick; next++) {
      const entry = this.history.get(next);
      if (entry === undefined) continue;
      this.before = at;
      at = this.game.step(at, entry.input);
      entry.body = at;
    }
    this.history.set(tick, { input: this.history.get(tick)?.input ?? ({} as Input), body });
    this.current = at;
  }
}
