// When to draw what: how far drawing lags behind the server, in ticks.

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
