// The server's clock as seen from here: four timestamps, the answer with the smallest error bound counts.

const WINDOW = 16;
/** Largest assumed difference of two clocks' speeds: 200 ppm. */
const DRIFT = 200e-6;

interface Sample {
  at: number;
  offset: number;
  rtt: number;
}

/** Estimates the offset to the server's clock. All times are µs. */
export class Clock {
  /** Smoothed round trip time and its mean deviation, µs; 0 before the first answer. */
  srtt = 0;
  rttVar = 0;
  private samples: Sample[] = [];
  private best: Sample | undefined;

  /** Takes one answered ping: sent at `t0`, received at `t1`, answered at `t2`, back at `t3`. */
  answer(t0: number, t1: number, t2: number, t3: number): void {
    const rtt = t3 - t0 - (t2 - t1);
    if (t3 < t0 || t2 < t1 || rtt < 0) return;
    this.rttVar = this.srtt === 0 ? rtt / 2 : this.rttVar * 0.75 + Math.abs(rtt - this.srtt) * 0.25;
    this.srtt = this.srtt === 0 ? rtt : this.srtt * 0.875 + rtt * 0.125;
    this.samples.push({ at: t3, offset: Math.trunc((t1 - t0 + (t2 - t3)) / 2), rtt });
    if (this.samples.length > WINDOW) this.samples.shift();
    this.best = this.samples.reduce((best, s) => (bound(s, t3) <= bound(best, t3) ? s : best));
  }

  /** Starts over: the clock behind the server's times is another one. */
  restart(): void {
    this.samples = [];
    this.best = undefined;
  }

  /** True after the first answer. */
  get isSet(): boolean {
    return this.best !== undefined;
  }

  /** Server time minus own time, µs. */
  get offset(): number {
    return this.best?.offset ?? 0;
  }

  /** How far `offset` may be off at `now`, µs. */
  error(now: number): number {
    return this.best === undefined ? Infinity : bound(this.best, now);
  }

  /** Server time at local time `now`. */
  serverTime(now: number): number {
    return now + this.offset;
  }
}

function bound(sample: Sample, now: number): number {
  return sample.rtt / 2 + (now - sample.at) * DRIFT;
}
