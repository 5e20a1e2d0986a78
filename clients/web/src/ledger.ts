// Where the bytes of snapshots go: by component, by entity, by snapshot.

/** A part of the traffic. */
export interface Share<Of> {
  of: Of;
  bytesPerS: number;
}

/** What the snapshots since the last look took. */
export interface SnapshotTraffic {
  perS: number;
  bytesMean: number;
  bytesMax: number;
  /** By number of the component, the most expensive first. What is not in here is headers and ids. */
  components: Share<number>[];
  /** Rows by entity, the most expensive first. */
  entities: Share<number>[];
}

/** Counts bits while snapshots are read. */
export class Ledger {
  private snapshots = 0;
  private bytes = 0;
  private bytesMax = 0;
  private components = new Map<number, number>();
  private entities = new Map<number, number>();

  /** A snapshot of this many bytes has arrived. */
  snapshot(bytes: number): void {
    this.snapshots += 1;
    this.bytes += bytes;
    this.bytesMax = Math.max(this.bytesMax, bytes);
  }

  /** A component's numbers in a row took this many bits. */
  component(component: number, bits: number): void {
    this.components.set(component, (this.components.get(component) ?? 0) + bits);
  }

  /** The row of an entity took this many bits. */
  row(id: number, bits: number): void {
    this.entities.set(id, (this.entities.get(id) ?? 0) + bits);
  }

  /** What was counted in these seconds; starts again at nothing. */
  take(seconds: number): SnapshotTraffic {
    const shares = (of: Map<number, number>) => [...of].map(([key, bits]) => ({ of: key, bytesPerS: bits / 8 / seconds })).sort((a, b) => b.bytesPerS - a.bytesPerS);
    const traffic = {
      perS: this.snapshots / seconds,
      bytesMean: this.snapshots === 0 ? 0 : this.bytes / this.snapshots,
      bytesMax: this.bytesMax,
      components: shares(this.components),
      entities: shares(this.entities),
    };
    [this.snapshots, this.bytes, this.bytesMax] = [0, 0, 0];
    this.components.clear();
    this.entities.clear();
    return traffic;
  }
}
