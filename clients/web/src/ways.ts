// The order in which the endpoints of one service are tried, and how long each may take.

import type { Endpoint } from "./pipe.ts";

/** A connection that is to be opened on the first round while others remain, ms; a service that is there answers sooner. */
const FIRST_MS_MAX = 1_500;
/** The same for the only one that remains, and on later rounds, ms. */
const CONNECT_MS_MAX = 5_000;

/** Endpoints in the order they should be tried: the one that worked last first, those that did not last. */
export class Ways {
  private list: Endpoint[];

  constructor(endpoints: Endpoint[]) {
    this.list = [...endpoints];
  }

  /** All of them; what happens meanwhile changes the next round only. */
  get all(): readonly Endpoint[] {
    return this.list;
  }

  /** How long the endpoint at `place` may take, ms. The patience grows with each round that found none. */
  patience(place: number, round: number): number {
    return place === this.list.length - 1 ? CONNECT_MS_MAX : Math.min(CONNECT_MS_MAX, FIRST_MS_MAX * 2 ** round);
  }

  /** A session was attached there. */
  worked(endpoint: Endpoint): void {
    this.list = [endpoint, ...this.list.filter((other) => other !== endpoint)];
  }

  /** It opened, but no session came of it. */
  failed(endpoint: Endpoint): void {
    this.list = [...this.list.filter((other) => other !== endpoint), endpoint];
  }
}
