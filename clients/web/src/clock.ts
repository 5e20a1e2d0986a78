// The server's clock as seen from here: four timestamps, minimum-RTT filter.

interface Sample {
  at: number;
  offset: number;
  rtt: number;
}

const SAMPLES_MAX = 32;
const SAMPLE_AGE_MAX_US = 30_000_000;

/** Estimates the offset to the server's clock. All times are µs. */
export class Clock {
  /** Smoothed round trip time and its mean deviation, µs. */
  rtt = 0;
  rttVar = 0;
  private samples: Sample[] = [];

  /** Takes one answered ping: sent at `t0`, received at `t1`, answered at `t2`, back at `t3`. */
  sample(t0: number, t1: number, t2: number, t3: number): void {
    const rtt = Math.max(0, t3 - t0 - (t2 - t1));
    if (t3 < t0 || rtt > 60_000_000) return;
    this.rttVar = this.rtt === 0 ? rtt / 2 : this.rttVar * 0.75 + Math.abs(rtt - this.rtt) * 0.25;
    this.rtt = this.rtt === 0 ? rtt : this.rtt * 0.875 + rtt * 0.125;
    this.samples.push({ at: t3, offset: (t1 - t0 + (t2 - t3)) / 2, rtt });
    this.samples = this.samples.filter((s) => t3 - s.at <= SAMPLE_AGE_MAX_US).slice(-SAMPLES_MAX);
  }

  /** Forgets everything: the clock behind the server's times is another one. */
  restart(): void {
    this.samples = [];
  }

  /** True when at least one ping was answered. */
  get ready(): boolean {
    return this.samples.length > 0;
  }

  /** Offset to add to local time, µs. */
  get offset(): number {
    return this.best?.offset ?? 0;
  }

  /** Bound of the offset's error, µs; infinite before the first answer. */
  get error(): number {
    return this.best === undefined ? Infinity : this.best.rtt / 2;
  }

  /** Server time at local time `now`. */
  serverTime(now: number): number {
    return now + this.offset;
  }

  private get best(): Sample | undefined {
    let best: Sample | undefined;
    for (const sample of this.samples) if (best === undefined || sample.rtt <= best.rtt) best = sample;
    return best;
  }
}
