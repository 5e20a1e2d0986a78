// One topic that is read: where its reader stands, and what it is told.

import type { AmphiError } from "./error.ts";
import { type Presence, Roster } from "./presence.ts";
import type { Subscribed } from "./wire.ts";

/** A place in a topic: it can be kept as JSON and given to `since` later, on any node. */
export interface Position {
  epoch: string;
  offset: number;
}

/** One message of a topic. */
export interface Publication {
  topic: string;
  position: Position;
  /** JSON as a value, text as a string, bytes as they are. */
  data: unknown;
  format: "json" | "text" | "binary";
  /** What lies before it in the topic is not needed to understand it. */
  keyframe: boolean;
}

/** What a reader of a topic gives and hears. */
export interface Subscriber {
  /** Reads on from here; without it as much of the past as the topic gives to a newcomer. */
  since?: Position | undefined;
  onPublication(publication: Publication): void;
  /** What others see beside this person, where the topic says who reads it: JSON of at most 256 bytes. */
  meta?: unknown;
  /** Who else reads the topic: at first, and after each change. */
  onPresence?(presence: Presence): void;
  /** Reading began: `replayed` publications of the past follow. */
  onSubscribed?(info: { position: Position; replayed: number }): void;
  /** Back after an interruption, with everything that was missed: `replayed` publications follow. */
  onRecovered?(info: { position: Position; replayed: number }): void;
  /** What was missed is gone for good: `replayed` publications follow, as for a newcomer. */
  onReset?(info: { position: Position; replayed: number }): void;
  /** With the action `stop` reading has ended; otherwise it is tried again by itself. */
  onError?(error: AmphiError): void;
}

/** A position as it lies on the wire. */
interface Place {
  epoch: bigint;
  offset: number;
}

/** A reader and how far it has come, over all its connections. */
export class Subscription {
  /** Behind the newest publication that was read; `undefined` before the first. */
  place: Place | undefined;
  /** The server has answered on this connection. */
  answered = false;
  /** What others see beside this person, as JSON; empty: nothing. */
  meta: string;
  readonly roster = new Roster();
  /** What a newcomer gets: so many publications are still to come, behind which it stands at this place. */
  private replay: ({ left: number } & Place) | undefined;

  constructor(
    readonly topic: string,
    readonly subscriber: Subscriber,
  ) {
    const { since, meta } = subscriber;
    this.meta = meta === undefined ? "" : JSON.stringify(meta);
    this.place = since && { epoch: BigInt(since.epoch), offset: since.offset };
  }

  /** The server says where the topic stands: what to tell the reader. */
  begin({ epoch, offset, recovered, replayed }: Subscribed): () => void {
    this.answered = true;
    const before = this.place;
    const isReset = before !== undefined && (!recovered || before.epoch !== epoch);
    const isNew = isReset || before === undefined;
    // In a topic with entries the offsets of a newcomer's publications have holes, so they are counted.
    this.replay = isNew && replayed > 0 ? { left: replayed, epoch, offset } : undefined;
    if (isNew) this.place = this.replay === undefined ? { epoch, offset } : undefined;
    const told = { position: { epoch: String(epoch), offset }, replayed };
    const { subscriber } = this;
    return () => (isReset ? subscriber.onReset?.(told) : isNew ? subscriber.onSubscribed?.(told) : subscriber.onRecovered?.(told));
  }

  /** Moves behind a publication: its position, or `undefined` when it was read before. */
  advance(offset: number): Position | undefined {
    const { replay, place } = this;
    if (replay !== undefined) {
      replay.left -= 1;
      if (replay.left === 0) this.replay = undefined;
      this.place = { epoch: replay.epoch, offset: replay.left === 0 ? replay.offset : offset };
      return { epoch: String(replay.epoch), offset };
    }
    if (place === undefined || offset <= place.offset) return undefined;
    place.offset = offset;
    return { epoch: String(place.epoch), offset };
  }
}
