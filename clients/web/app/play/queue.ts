// One ticket in the queue: made, polled, taken back.

import { callAs } from "../account.ts";
import { AmphiError } from "../../src/error.ts";
import type { SeatGrant, Ticket } from "../api.ts";
import { CODE } from "../../src/codes.ts";
import { Store } from "../store.ts";

const WAIT_MS = 10_000;

/** What the queue page shows. */
export type QueueState =
  | { kind: "joining" }
  | { kind: "waiting"; ticket: Ticket; since: number }
  | { kind: "matched"; grant: SeatGrant }
  | { kind: "failed"; error: unknown };

/** Waits for a match of a mode. */
export class Queue {
  readonly state = new Store<QueueState>({ kind: "joining" });
  private readonly stop = new AbortController();
  private ticket: string | undefined;

  constructor(readonly mode: string) {
    void this.run();
  }

  /** Gives the ticket back. */
  cancel(): void {
    this.stop.abort();
    if (this.ticket !== undefined && this.state.value.kind !== "matched") void callAs("DELETE", `/api/v1/matchmaking/queue/${this.ticket}`).catch(() => undefined);
  }

  private async run(): Promise<void> {
    try {
      let ticket = await callAs<Ticket>("POST", "/api/v1/matchmaking/queue", { body: { mode: this.mode } });
      this.ticket = ticket.ticket;
      if (this.stop.signal.aborted) return this.cancel();
      const since = Date.now() - ticket.waited_ms;
      while (!this.settle(ticket)) {
        this.state.set({ kind: "waiting", ticket, since });
        ticket = await callAs<Ticket>("GET", `/api/v1/matchmaking/queue/${ticket.ticket}?wait_ms=${WAIT_MS}`, { signal: this.stop.signal });
      }
    } catch (error) {
      if (!this.stop.signal.aborted) this.state.set({ kind: "failed", error });
    }
  }

  private settle(ticket: Ticket): boolean {
    if (ticket.match !== undefined) {
      this.state.set({ kind: "matched", grant: ticket.match });
      return true;
    }
    if (ticket.state === "failed" || ticket.state === "cancelled") {
      this.state.set({ kind: "failed", error: new AmphiError(Number(ticket.code?.slice(1) ?? CODE.TicketEnded), ticket.explain.join(" ")) });
      return true;
    }
    return false;
  }
}
