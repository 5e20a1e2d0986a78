// Datagrams of one session: sequence numbers, acknowledgements, what was lost, and newest-wins in both directions.

import { decodeDatagram, encodeDatagram, LANE_CONTROL, laneKind } from "./frame.ts";

const REMEMBERED_MAX = 256;
/** Unacknowledged datagrams on an ordered pipe; beyond, the newest of each lane waits. */
const ORDERED_IN_FLIGHT_MAX = 2;
const LOST_AFTER_NEWER = 3;
/** Nothing overtakes on an ordered pipe: whatever a newer one came without was dropped on the way. */
const ORDERED_LOST_AFTER_NEWER = 1;
const ACK_AFTER_US = 20_000;

interface Sent {
  seq: number;
  at: number;
  newerAcked: number;
}

/** Where datagrams and their fates go. */
export interface DatagramSink {
  send(bytes: Uint8Array): void;
  received(lane: number, payload: Uint8Array): void;
  fate(seq: number, acked: boolean): void;
}

/** `a - b` on the 16-bit circle, −32,768 to 32,767. */
export function seqDiff(a: number, b: number): number {
  return ((a - b) << 16) >> 16;
}

/** The session header's bookkeeping; it continues over attaches. */
export class Datagrams {
  /** When a pure acknowledgement is due, µs. */
  ackAt: number | undefined;
  private nextSeq = 1;
  private newest = 0;
  private bits = 0;
  private inFlight: Sent[] = [];
  private waiting = new Map<number, { seq: number; payload: Uint8Array }>();
  private newestOfLane = new Map<number, number>();

  constructor(private readonly sink: DatagramSink) {}

  /** Sends, or on a full ordered pipe keeps the newest of the lane; gives the sequence number. */
  send(now: number, lane: number, payload: Uint8Array, ordered: boolean): number {
    const seq = this.nextSeq;
    this.nextSeq = seq === 0xffff ? 1 : seq + 1;
    if (ordered && this.inFlight.length >= ORDERED_IN_FLIGHT_MAX) {
      const replaced = this.waiting.get(lane);
      this.waiting.set(lane, { seq, payload });
      if (replaced !== undefined) this.sink.fate(replaced.seq, false);
    } else {
      this.emit(now, seq, lane, payload);
    }
    return seq;
  }

  /** Takes a datagram from the wire; throws `FrameError` when it is none. `lostAfterUs` is infinite where time says nothing. */
  receive(now: number, bytes: Uint8Array, ordered: boolean, lostAfterUs: number): void {
    const { seq, ack, ackBits, lane, payload } = decodeDatagram(bytes);
    this.decide(now, { ack, ackBits }, ordered ? ORDERED_LOST_AFTER_NEWER : LOST_AFTER_NEWER, lostAfterUs);
    this.release(now);
    if (lane === LANE_CONTROL || seq === 0) return;
    // An ack says that the payload was used: an older one on a latest lane is dropped without one.
    const newest = this.newestOfLane.get(lane);
    if (laneKind(lane) === "latest" && newest !== undefined && seqDiff(seq, newest) < 0) return;
    if (!this.mark(seq)) return;
    this.ackAt ??= now + ACK_AFTER_US;
    this.newestOfLane.set(lane, seq);
    this.sink.received(lane, payload);
  }

  /** Sends the acknowledgement that is due, with no payload. */
  flushAck(): void {
    this.ackAt = undefined;
    this.sink.send(encodeDatagram({ seq: 0, ack: this.newest, ackBits: this.bits, lane: LANE_CONTROL, payload: new Uint8Array(0) }));
  }

  /** The pipe is gone: what was in flight or waiting is lost. */
  pipeGone(): void {
    const open = [...this.inFlight, ...this.waiting.values()].map(({ seq }) => seq);
    this.inFlight = [];
    this.waiting.clear();
    this.ackAt = undefined;
    for (const seq of open) this.sink.fate(seq, false);
  }

  private emit(now: number, seq: number, lane: number, payload: Uint8Array): void {
    this.ackAt = undefined;
    this.inFlight.push({ seq, at: now, newerAcked: 0 });
    if (this.inFlight.length > REMEMBERED_MAX) this.sink.fate(this.inFlight.shift()!.seq, false);
    this.sink.send(encodeDatagram({ seq, ack: this.newest, ackBits: this.bits, lane, payload }));
  }

  private release(now: number): void {
    while (this.waiting.size > 0 && this.inFlight.length < ORDERED_IN_FLIGHT_MAX) {
      const [lane, { seq, payload }] = [...this.waiting].reduce((a, b) => (seqDiff(b[1].seq, a[1].seq) < 0 ? b : a));
      this.waiting.delete(lane);
      this.emit(now, seq, lane, payload);
    }
  }

  /** Remembers `seq` as received; false when it is repeated or too old. */
  private mark(seq: number): boolean {
    const ahead = this.newest === 0 ? 0x7fff : seqDiff(seq, this.newest);
    if (ahead > 0) {
      const shifted = ahead >= 32 ? 0 : this.bits << ahead;
      const previous = this.newest !== 0 && ahead <= 32 ? 1 << (ahead - 1) : 0;
      this.bits = (shifted | previous) >>> 0;
      this.newest = seq;
      return true;
    }
    const bit = -ahead - 1;
    if (bit < 0 || bit >= 32 || (this.bits >>> bit) & 1) return false;
    this.bits = (this.bits | (1 << bit)) >>> 0;
    return true;
  }

  private decide(now: number, { ack, ackBits }: { ack: number; ackBits: number }, newerMax: number, lostAfterUs: number): void {
    if (ack === 0) return;
    const isAcked = (seq: number) => {
      const behind = seqDiff(ack, seq);
      return behind === 0 || (behind > 0 && behind <= 32 && ((ackBits >>> (behind - 1)) & 1) === 1);
    };
    const fates: { seq: number; acked: boolean }[] = [];
    let newlyAcked = 0;
    const open: Sent[] = [];
    for (const sent of this.inFlight.toReversed()) {
      sent.newerAcked += newlyAcked;
      if (isAcked(sent.seq)) {
        newlyAcked += 1;
        fates.push({ seq: sent.seq, acked: true });
      } else if (sent.newerAcked >= newerMax || now - sent.at > lostAfterUs) {
        fates.push({ seq: sent.seq, acked: false });
      } else {
        open.push(sent);
      }
    }
    this.inFlight = open.reverse();
    for (const { seq, acked } of fates.reverse()) this.sink.fate(seq, acked);
  }
}
