// When to play what: how far inputs lead the server, and how far drawing lags behind it. Both in ticks.

const LEAD_MAX = 40;
/** The wanted margin at the server, in quarters of a tick. */
const MARGIN_WANTED = 5;
const QUARTERS = 4;

/** Steers the input lead on the margin that the server measures. */
export class Lead {
  /** Ticks ahead of the server's clock. */
  ticks: number;
  private quietUntil = 0;

  constructor(rttTicks: number) {
    this.ticks = rttTicks / 2 + 2;
  }

  /** Takes a margin in quarters of a tick; a correction is judged only after it can have had an effect. */
  take(now: number, margin: number, rttUs: number): void {
    const error = MARGIN_WANTED - margin;
    if (error > 1) {
      if (now < this.quietUntil) return;
      this.ticks = Math.min(LEAD_MAX, this.ticks + Math.min(error / QUARTERS, 8));
      this.quietUntil = now + rttUs + 60_000;
    } else if (error < -3) {
      this.ticks = Math.max(0, this.ticks - 0.012);
    }
  }
}

const LAGS_MAX = 90;

/** Chooses the tick to draw: as new as the arrivals allow without running dry. */
export class Playout {
  private lags: number[] = [];
  private last: { at: number; tick: number } | undefined;
  private gaps: number[] = [];
  private delay: number | undefined;
  private drawn = -Infinity;

  /** A state of `tick` arrived when the server's clock stood at `serverTick`. */
  arrived(serverTick: number, tick: number): void {
    this.lags.push(serverTick - tick);
    if (this.lags.length > LAGS_MAX) this.lags.shift();
    if (this.last !== undefined) this.gaps.push(tick - this.last.tick);
    if (this.gaps.length > LAGS_MAX) this.gaps.shift();
    this.last = { at: serverTick, tick };
  }

  /** The tick to draw at `serverTick`; it never goes back by itself. */
  tick(serverTick: number, seconds: number): number {
    if (this.lags.length === 0) return 0;
    const wanted = this.wantedDelay();
    if (this.delay === undefined || Math.abs(wanted - this.delay) > 30) this.delay = wanted;
    const rate = wanted > this.delay ? 3 : 0.6;
    this.delay += Math.max(-1, Math.min(1, wanted - this.delay)) * Math.min(1, seconds * rate * 4);
    const tick = serverTick - this.delay;
    this.drawn = tick < this.drawn - 60 ? tick : Math.max(this.drawn, tick);
    return this.drawn;
  }

  private wantedDelay(): number {
    const sorted = [...this.lags].sort((a, b) => a - b);
    const late = sorted[Math.floor((sorted.length - 1) * 0.96)]!;
    const gap = [...this.gaps].sort((a, b) => a - b)[Math.floor(this.gaps.length / 2)] ?? 1;
    return late + Math.min(gap, 30) + 0.5;
  }
}
