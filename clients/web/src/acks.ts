// Datagram sequence numbers and acknowledgements, both directions of one session.

import { type Datagram, decodeDatagram, encodeDatagram } from "./frame.ts";

const REMEMBERED_MAX = 256;

/** `a - b` on the 16-bit circle, -32768 to 32767. */
export function seqDiff(a: number, b: number): number {
  return ((a - b) << 16) >> 16;
}

/** What became of a sent datagram. */
export interface Fate {
  seq: number;
  acked: boolean;
}

/** The session header's bookkeeping. */
export class DatagramAcks {
  private nextSeq = 1;
  private newest = 0;
  private bits = 0;
  private inFlight: number[] = [];
  /** True when something was received that no sent header has acknowledged yet. */
  pending = false;

  /** Number of sent datagrams whose fate is open. */
  get open(): number {
    return this.inFlight.length;
  }

  /** Takes the next sequence number; 0 is skipped because it means "nothing received". */
  take(): number {
    const seq = this.nextSeq;
    this.nextSeq = (this.nextSeq + 1) & 0xffff || 1;
    return seq;
  }

  /** Encodes with the acknowledgements of this moment and remembers `seq` until its fate is known. */
  seal(seq: number, lane: number, payload: Uint8Array): Uint8Array {
    if (lane !== 0) this.inFlight.push(seq);
    this.pending = false;
    return encodeDatagram({ seq, ack: this.newest, ackBits: this.bits, lane, payload });
  }

  /** Parses; gives the datagram unless it is a duplicate, and the fates its header decides. */
  parse(bytes: Uint8Array): { datagram: Datagram | undefined; fates: Fate[] } {
    const datagram = decodeDatagram(bytes);
    const fates = this.decide(datagram.ack, datagram.ackBits);
    return { datagram: this.receive(datagram) ? datagram : undefined, fates };
  }

  private receive({ seq, lane, payload }: Datagram): boolean {
    if (lane === 0 && payload.length === 0 && seq === 0) return false;
    const ahead = this.newest === 0 ? 1 : seqDiff(seq, this.newest);
    if (ahead > 0) {
      const shifted = ahead >= 32 ? 0 : this.bits << ahead;
      this.bits = this.newest === 0 ? 0 : (shifted | (ahead <= 32 ? 1 << (ahead - 1) : 0)) >>> 0;
      this.newest = seq;
    } else {
      const bit = -ahead - 1;
      if (bit < 0 || bit >= 32 || (this.bits >>> bit) & 1) return false;
      this.bits = (this.bits | (1 << bit)) >>> 0;
    }
    if (lane !== 0) this.pending = true;
    return true;
  }

  private decide(ack: number, ackBits: number): Fate[] {
    const fates: Fate[] = [];
    this.inFlight = this.inFlight.filter((seq) => {
      const behind = seqDiff(ack, seq);
      if (ack === 0 || behind < 0) return true;
      const acked = behind === 0 || (behind <= 32 && ((ackBits >>> (behind - 1)) & 1) === 1);
      if (!acked && behind <= 32) return true;
      fates.push({ seq, acked });
      return false;
    });
    while (this.inFlight.length > REMEMBERED_MAX) fates.push({ seq: this.inFlight.shift()!, acked: false });
    return fates;
  }
}
