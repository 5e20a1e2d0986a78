// Snapshots from the first datagram on, also before the schema is known.

import { Ledger } from "./ledger.ts";
import { type Snapshot, SnapshotDecoder } from "./replica.ts";
import type { Schema } from "./schema.ts";
import { Tables, TablesError } from "./tables.ts";

/** Snapshots that wait for their schema; it takes a round trip or two, at 60 a second. */
const WAITING_MAX = 256;

/**
 * Reads the snapshots of a match. A datagram may overtake `Joined`, which brings the schema on a stream. The session
 * acknowledges it all the same, so the host takes its rows as known and does not send those of an entity at rest again.
 */
export class SnapshotReader {
  readonly ledger = new Ledger();
  private decoder: SnapshotDecoder | undefined;
  private waiting: Uint8Array[] = [];

  /** Starts with a schema; gives what has waited for the first one. */
  begin(schema: Schema, tickHz: number): Snapshot[] {
    const decoder = new SnapshotDecoder(schema, tickHz, this.ledger);
    this.decoder = decoder;
    return this.waiting.splice(0).flatMap((payload) => decoder.decode(payload) ?? []);
  }

  /** Takes code tables that the server offers for the schema; false when this build cannot read them. */
  addTables(schema: Schema, set: number, data: Uint8Array): boolean {
    try {
      this.decoder?.addTables(set, Tables.read(data, schema));
    } catch (error) {
      if (error instanceof TablesError) return false;
      throw error;
    }
    return this.decoder !== undefined;
  }

  /** Reads a part of the world; `undefined` when what it tells must be told again. */
  takePart(payload: Uint8Array): Snapshot | undefined {
    return this.decoder?.decodePart(payload);
  }

  /** Reads one; `undefined` when it is too old to count, or waits. Throws `ReplicaError`; then nothing of it counts. */
  take(payload: Uint8Array): Snapshot | undefined {
    if (this.decoder !== undefined) return this.decoder.decode(payload);
    this.waiting.push(payload);
    if (this.waiting.length > WAITING_MAX) this.waiting.shift();
    return undefined;
  }
}
