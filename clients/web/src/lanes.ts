// Reliable lanes of one session: messages kept until acknowledged, and how many were received.

/** A session keeps at most this many unacknowledged messages, over all lanes. */
const UNACKED_MESSAGES_MAX = 4_096;

interface SendLane {
  next: number;
  unacked: { seq: number; payload: Uint8Array }[];
}

/** Positions of all resumable lanes, both ways. */
export class ReliableLanes {
  private sending = new Map<number, SendLane>();
  private received = new Map<number, number>();

  /** Messages received in order, per lane. */
  get positions(): [number, number][] {
    return [...this.received];
  }

  /** Messages sent, per lane. */
  get sent(): [number, number][] {
    return [...this.sending].map(([lane, { next }]) => [lane, next]);
  }

  /** Keeps a message until it is acknowledged; false when too many are. */
  keep(lane: number, payload: Uint8Array): boolean {
    const kept = [...this.sending.values()].reduce((sum, { unacked }) => sum + unacked.length, 0);
    if (kept >= UNACKED_MESSAGES_MAX) return false;
    const state = this.sendLane(lane);
    state.unacked.push({ seq: state.next, payload });
    state.next += 1;
    return true;
  }

  /** Everything below `nextSeq` has arrived at the peer. */
  acknowledged(lane: number, nextSeq: number): void {
    const { unacked } = this.sendLane(lane);
    while (unacked.length > 0 && unacked[0]!.seq < nextSeq) unacked.shift();
  }

  /** What a fresh connection must carry again, in order per lane. */
  *unacked(): Generator<{ lane: number; payload: Uint8Array }> {
    for (const [lane, { unacked }] of this.sending) for (const { payload } of unacked) yield { lane, payload };
  }

  /** Takes the message with number `seq`; false when it is known already. */
  receive(lane: number, seq: number): boolean {
    if (seq < (this.received.get(lane) ?? 0)) return false;
    this.received.set(lane, seq + 1);
    return true;
  }

  /** The peer could not keep this lane: it starts again at 0. */
  restartReceived(lane: number): void {
    this.received.set(lane, 0);
  }

  private sendLane(lane: number): SendLane {
    let state = this.sending.get(lane);
    if (state === undefined) this.sending.set(lane, (state = { next: 0, unacked: [] }));
    return state;
  }
}
