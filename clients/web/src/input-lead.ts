// How far inputs run ahead of the server, so that they arrive in time: the port of `shared/session/src/input_lead.rs`,
// number by number. `shared/vectors/input-lead` pins it.

/** Share of the delays that is passed over as outliers. */
const OUTLIERS = 0.01;
/** What is kept above the slowest delay that counts: ticks, and a share of how far that lies above the median. */
const RESERVE_TICKS = 0.25;
const RESERVE_SHARE = 0.25;
/** The lead to reach falls by this much at most, ticks per second, or by this share of what it is too large per second. */
const FALL_TICKS_PER_S = 0.05;
const FALL_SHARE_PER_S = 0.1;
/** Before this many margins the lead to reach follows what they say, up and down. */
const TRIAL_MARGINS = 32;
/** Speed of the simulation per tick that is missing: inputs come late until it is reached. */
const RISE = 0.2;
/** Speed of the simulation per tick too much, while that is at most one tick. */
const PROPORTIONAL = 0.02;
/** Largest difference from the normal speed up to one tick too much, and otherwise. */
const SPEED_INSIDE = 0.02;
const SPEED_OUTSIDE = 0.1;
/** Length of a stretch of time whose smallest lead is remembered, µs. */
const STRETCH = 10_000;
/** A larger error is not run down but jumped over, µs; a larger change of the server's clock is another clock. */
const SNAP = 250_000;
/** Arrival margins that decide on the lead. */
const MARGINS_MAX = 256;
/** Stretches that are remembered. */
const PAST_MAX = 128;
const LEAD_MAX = 500_000;

const clamp = (value: number, least: number, greatest: number) => Math.max(least, Math.min(greatest, value));

/** Difference from the normal speed, with so many ticks missing. */
function speed(missing: number): number {
  if (missing > 0) return Math.min(RISE * missing, SPEED_OUTSIDE);
  const beyond = clamp(-missing - 1, 0, 1);
  return Math.max(PROPORTIONAL * missing, -SPEED_INSIDE) - (SPEED_OUTSIDE - SPEED_INSIDE) * beyond;
}

/**
 * Controls the input lead on the margin with which inputs arrive at the server. All times in µs, held against the own clock:
 * when the estimate of the server's is corrected, inputs go on leaving at the times at which they left before.
 */
export class InputLead {
  private readonly period: number;
  /** The estimated offset of the server's clock, and how far it has moved since the first one. */
  private offset: number | undefined;
  private moved = 0;
  private leadNow: number;
  private leadWanted: number;
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
    return Math.trunc(this.leadNow - this.moved);
  }

  /** The lead that the simulation is on its way to. */
  get wanted(): number {
    return Math.trunc(this.leadWanted - this.moved);
  }

  /** Lets the lead go on to `now`. `offset` is the estimate of the server's clock: its time minus ours. */
  advance(now: number, offset: number): void {
    this.follow(offset);
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
    this.set(now, this.leadNow + speed(missingUs / this.period) * seconds * 1e6);
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
    const [slowest, median] = this.spread();
    const counts = cameLate ? Math.max(slowest, delay) : slowest;
    const least = counts + RESERVE_TICKS * this.period;
    const full = least + RESERVE_SHARE * (counts - median);
    // A path that becomes faster spreads the delays, too: nothing is missing then.
    const needed = least < this.leadWanted ? Math.min(full, this.leadWanted) : full;
    const trial = this.delays.length < TRIAL_MARGINS;
    const fall = Math.max(FALL_TICKS_PER_S * this.period, FALL_SHARE_PER_S * (this.leadWanted - needed));
    const floor = trial ? needed : this.leadWanted - (fall * this.period) / 1e6;
    this.leadWanted = this.bounded(Math.max(needed, floor));
  }

  private follow(offset: number): void {
    const change = offset - (this.offset ?? offset);
    this.offset = offset;
    if (Math.abs(change) <= SNAP) this.moved += change;
  }

  /** Keeps what is ahead of the server by 0 to the longest lead. */
  private bounded(lead: number): number {
    return clamp(lead, this.moved, this.moved + LEAD_MAX);
  }

  private set(now: number, lead: number): void {
    const next = this.bounded(lead);
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

  /** The delay that all but the outliers stay under, and the median. */
  private spread(): [number, number] {
    const sorted = [...this.delays].sort((a, b) => b - a);
    return [sorted[Math.trunc(sorted.length * OUTLIERS)] ?? 0, sorted[sorted.length >> 1] ?? 0];
  }
}
