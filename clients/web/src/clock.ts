// The server's clock as seen from here, from four timestamps per probe (`docs/wire.md`, Clock).

const WINDOW = 32;
/** Largest assumed difference of two clocks' speeds: 200 ppm. */
const DRIFT = 200e-6;
const FIT_SAMPLES_MIN = 4;

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
  private skew = 0;
  /** Time of the newest answer, and the offsets that were possible then. */
  private at = 0;
  private least = -Infinity;
  private most = Infinity;

  /** Takes one answered ping: sent at `t0`, received at `t1`, answered at `t2`, back at `t3`. */
  answer(t0: number, t1: number, t2: number, t3: number): void {
    const rtt = t3 - t0 - (t2 - t1);
    if (t3 < t0 || t2 < t1 || rtt < 0) return;
    this.rttVar = this.srtt === 0 ? rtt / 2 : this.rttVar * 0.75 + Math.abs(rtt - this.srtt) * 0.25;
    this.srtt = this.srtt === 0 ? rtt : this.srtt * 0.875 + rtt * 0.125;
    this.samples.push({ at: t3, offset: Math.trunc((t1 - t0 + (t2 - t3)) / 2), rtt });
    if (this.samples.length > WINDOW) this.samples.shift();
    this.estimate(t3);
  }

  /** Starts over: the clock behind the server's times is another one. */
  restart(): void {
    this.samples = [];
    this.best = undefined;
    this.skew = 0;
    this.least = -Infinity;
    this.most = Infinity;
  }

  /** True after the first answer. */
  get isSet(): boolean {
    return this.best !== undefined;
  }

  /** Server time minus own time at `now`, µs. */
  offset(now: number): number {
    if (this.best === undefined) return 0;
    const blur = this.blur(now);
    const offset = this.best.offset + this.skew * (now - this.best.at);
    return Math.min(Math.max(offset, this.least - blur), this.most + blur);
  }

  /** How far `offset` may be off at `now`, µs. */
  error(now: number): number {
    if (this.best === undefined) return Infinity;
    const [offset, blur] = [this.offset(now), this.blur(now)];
    return Math.max(offset - (this.least - blur), this.most + blur - offset);
  }

  /** Server time at local time `now`. */
  serverTime(now: number): number {
    return now + this.offset(now);
  }

  private estimate(at: number): void {
    this.at = at;
    const best = this.samples.reduce((best, s) => (bound(s, at) <= bound(best, at) ? s : best));
    this.best = best;
    this.least = Math.max(...this.samples.map((s) => s.offset - bound(s, at)));
    this.most = Math.min(...this.samples.map((s) => s.offset + bound(s, at)));
    // Nothing fits all: a clock stepped. The best probe stands alone.
    if (this.least > this.most) [this.least, this.most] = [best.offset - bound(best, at), best.offset + bound(best, at)];
    this.skew = skew(this.samples);
  }

  private blur(now: number): number {
    return Math.max(0, now - this.at) * DRIFT;
  }
}

function bound(sample: Sample, now: number): number {
  return sample.rtt / 2 + (now - sample.at) * DRIFT;
}

/** Difference of the clocks' speeds by least squares over the fast samples; 0 when they tell less than is assumed anyway. */
function skew(samples: Sample[]): number {
  const fastest = Math.min(...samples.map(({ rtt }) => rtt));
  const fast = samples.filter(({ rtt }) => rtt <= fastest * 1.2 + 200);
  const [first, last] = [fast[0], fast.at(-1)];
  if (first === undefined || last === undefined || fast.length < FIT_SAMPLES_MIN) return 0;
  const scatter = (Math.max(...fast.map(({ rtt }) => rtt)) - fastest) / 2 + 1;
  if (scatter * 2 >= (last.at - first.at) * DRIFT) return 0;
  const mean = (of: (s: Sample) => number) => fast.reduce((sum, s) => sum + of(s), 0) / fast.length;
  const [x, y] = [mean((s) => s.at - first.at), mean((s) => s.offset - first.offset)];
  const xy = mean((s) => (s.at - first.at - x) * (s.offset - first.offset - y));
  const xx = mean((s) => (s.at - first.at - x) ** 2);
  return xx > 0 ? Math.min(Math.max(xy / xx, -DRIFT), DRIFT) : 0;
}
