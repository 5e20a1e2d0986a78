// Publications that the server has not answered: kept over broken connections, in order per topic.

import { CODE } from "./codes.ts";
import { AmphiError } from "./error.ts";

/** How much may wait; more is refused with `QueueFull`. */
export interface OutboxLimits {
  messages: number;
  bytes: number;
}

/** One publication on its way. */
export interface Outgoing {
  readonly topic: string;
  readonly bytes: number;
  /** Not sent before, µs of the local clock. */
  due: number;
  /** The request under way on this connection, or none. */
  request: number | undefined;
}

/**
 * Hands out what is due: one publication per topic at a time, so that none overtakes another, whatever the server refuses
 * for a while. What was under way when the connection ended is handed out again.
 */
export class Outbox<T extends Outgoing> {
  /** In order of arrival; a `Set` keeps it and forgets in one step. */
  private readonly waiting = new Set<T>();
  private bytes = 0;

  constructor(private readonly limits: OutboxLimits) {}

  get size(): number {
    return this.waiting.size;
  }

  /** Throws `QueueFull` when as much waits as may. */
  add(item: T): void {
    const { messages, bytes } = this.limits;
    if (this.waiting.size >= messages || this.bytes + item.bytes > bytes) {
      throw new AmphiError(CODE.QueueFull, `${this.waiting.size} publications wait for the connection, which is as many as may.`);
    }
    this.waiting.add(item);
    this.bytes += item.bytes;
  }

  /** It was answered, or is not wanted any more. */
  remove(item: T): void {
    if (this.waiting.delete(item)) this.bytes -= item.bytes;
  }

  /** The first of each topic that is not under way and due. */
  due(now: number): T[] {
    return this.firsts().filter(({ request, due }) => request === undefined && due <= now);
  }

  /** When the next one that has to wait is due; `undefined` when none has. */
  nextDue(now: number): number | undefined {
    const later = this.firsts().filter(({ request, due }) => request === undefined && due > now);
    return later.length === 0 ? undefined : Math.min(...later.map(({ due }) => due));
  }

  /** What the request `id` carried. */
  find(id: number): T | undefined {
    for (const item of this.waiting) if (item.request === id) return item;
    return undefined;
  }

  /** The connection is gone: whatever was under way may or may not have arrived. */
  lost(): void {
    for (const item of this.waiting) item.request = undefined;
  }

  /** Everything that waits, which is forgotten here. */
  drain(): T[] {
    const all = [...this.waiting];
    this.waiting.clear();
    this.bytes = 0;
    return all;
  }

  private firsts(): T[] {
    const firsts = new Map<string, T>();
    for (const item of this.waiting) if (!firsts.has(item.topic)) firsts.set(item.topic, item);
    return [...firsts.values()];
  }
}
