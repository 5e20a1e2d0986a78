// How far inputs run ahead of the server, so that they arrive in time: the port of `shared/session/src/input_lead.rs`,
// number by number. `shared/vectors/input-lead` pins it.

/** Share of inputs that may come late. */
const LATE_SHARE = 0.005;
/** What is kept above the delay of the slowest input that counts, ticks. */
const RESERVE_TICKS = 0.25;
/** The lead to reach falls by this much at most, ticks per second. */
const FALL_TICKS_PER_S = 0.05;
/** Before this many margins the lead to reach follows what they say, up and down. */
const TRIAL_MARGINS = 32;
/** Speed of the simulation per tick of error, while that is at most one tick. */
const PROPORTIONAL = 0.02;
/** Growth of the speed per second and tick of error. */
const INTEGRAL = 0.002;
/** Largest difference from the normal speed inside one tick of error, and outside. */
const SPEED_INSIDE = 0.02;
const SPEED_OUTSIDE = 0.1;
/** Length of a stretch of time whose smallest lead is remembered, µs. */
const STRETCH = 10_000;
/** A larger error is not run down but jumped over, µs. */
const SNAP = 250_000;
/** Arrival margins that decide on the lead. */
const MARGINS_MAX = 256;
/** Stretches that are remembered. */
const PAST_MAX = 128;
const LEAD_MAX = 500_000;

const clamp = (value: number, least: number, greatest: number) => Math.max(least, Math.min(greatest, value));

/** Controls the input lead on the margin with which inputs arrive at the server. All times in µs. */
export class InputLead {
  private readonly period: number;
  private leadNow: number;
  private leadWanted: number;
  private integral = 0;
  private at: number | undefined;
  private readonly delays: number[] = [];
  private readonly past: { began: number; least: number }[] = [];
  private late: number | undefined;

  /** Starts with half a round trip and two ticks: a little too much, until margins arrive. */
  constructor(period: number, rtt: number) {
    this.period = Math.max(1, period);
    this.leadNow = Math.min(rtt / 2 + 2 * this.period, LEAD_MAX);
    this.leadWanted = this.leadNow;
  }

  /** How far the simulation runs ahead of server time. Call `advance` first. */
  get lead(): number {
    return Math.trunc(this.leadNow);
  }

  /** The lead that the simulation is on its way to. */
  get wanted(): number {
    return Math.trunc(this.leadWanted);
  }

  /** Lets the lead go on to `now`. */
  advance(now: number): void {
    const before = this.at;
    this.at = now;
    if (before === undefined) return;
    // A pause of the page is not made up for here: the error is still there afterwards.
    const seconds = Math.min(Math.max(0, now - before), SNAP) / 1e6;
    const missingUs = this.leadWanted - this.leadNow;
    if (Math.abs(missingUs) > SNAP) {
      this.set(now, this.leadWanted);
      return;
    }
    this.set(now, this.leadNow + this.speed(missingUs / this.period, seconds) * seconds * 1e6);
  }

  /**
   * The server reports the least margin of the inputs that arrived since its last report, in quarters of a tick (negative:
   * too late), and how many came too late so far, modulo 256.
   */
  onMargin(now: number, margin: number, late: number, rtt: number): void {
    const cameLate = (this.late !== undefined && this.late !== late) || margin < 0;
    this.late = late;
    const sentUnder = this.leastSince(Math.max(0, now - (2 * rtt + 3 * Math.trunc(this.period))));
    const delay = sentUnder - (margin * this.period) / 4;
    if (this.delays.length === MARGINS_MAX) this.delays.shift();
    this.delays.push(delay);
    const slowest = this.slowestThatCounts();
    const needed = (cameLate ? Math.max(slowest, delay) : slowest) + RESERVE_TICKS * this.period;
    const report = this.period / 1e6;
    const floor = this.delays.length < TRIAL_MARGINS ? 0 : this.leadWanted - FALL_TICKS_PER_S * this.period * report;
    this.leadWanted = clamp(Math.max(needed, floor), 0, LEAD_MAX);
  }

  /** Difference from the normal speed, with so many ticks missing. */
  private speed(missing: number, seconds: number): number {
    if (Math.abs(missing) <= 1) {
      this.integral = clamp(this.integral + INTEGRAL * missing * seconds, -SPEED_INSIDE / 4, SPEED_INSIDE / 4);
      return clamp(PROPORTIONAL * missing + this.integral, -SPEED_INSIDE, SPEED_INSIDE);
    }
    this.integral = 0;
    const beyond = Math.min(Math.abs(missing) - 1, 1);
    return Math.sign(missing) * (SPEED_INSIDE + (SPEED_OUTSIDE - SPEED_INSIDE) * beyond);
  }

  private set(now: number, lead: number): void {
    // The integral may carry it a little too far.
    const next = clamp(lead, 0, LEAD_MAX);
    const least = Math.min(this.leadNow, next);
    this.leadNow = next;
    const newest = this.past[this.past.length - 1];
    if (newest !== undefined && now < newest.began + STRETCH) {
      newest.least = Math.min(newest.least, least);
      return;
    }
    if (this.past.length === PAST_MAX) this.past.shift();
    this.past.push({ began: now, least });
  }

  /** The smallest lead in force since `moment`: taking it never mistakes a correction for a slower network. */
  private leastSince(moment: number): number {
    let least = this.leadNow;
    for (let i = this.past.length - 1; i >= 0; i--) {
      const { began, least: known } = this.past[i]!;
      if (began + STRETCH < moment) break;
      least = Math.min(least, known);
    }
    return least;
  }

  /** The delay that all but a small share of the inputs stay under. */
  private slowestThatCounts(): number {
    const sorted = [...this.delays].sort((a, b) => b - a);
    return sorted[Math.trunc(sorted.length * LATE_SHARE)] ?? 0;
  }
}
