// What a topic remembers, over HTTP.

import { call } from "./http.ts";
import type { Position, Publication } from "./subscription.ts";

export interface HistoryOptions {
  /** Only what lies behind this. */
  since?: Position | undefined;
  /** At most so many. */
  limit?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface History {
  publications: Publication[];
  /** There are more behind the last one: ask again with its position. */
  more: boolean;
  /** Newest position of the topic. */
  position: Position;
  /** False: `since` was given and what lay behind it is gone. */
  recovered: boolean;
}

/** Asks the server at `url` for the history of a topic, as the person of `token`. */
export async function readHistory(url: string, token: string, topic: string, { since, limit, signal }: HistoryOptions): Promise<History> {
  const address = new URL("/api/v1/topics/history", url);
  address.searchParams.set("topic", topic);
  if (since !== undefined) address.searchParams.set("since", `${since.epoch}:${since.offset}`);
  if (limit !== undefined) address.searchParams.set("limit", String(limit));
  const { epoch, offset, recovered, more, messages } = await call<HistoryReply>("GET", address.href, { token, signal });
  return { publications: messages.map(listed), position: { epoch, offset: Number(offset) }, recovered, more };
}

interface HistoryReply {
  epoch: string;
  offset: string;
  recovered: boolean;
  more: boolean;
  messages: Listed[];
}

/** A publication as the JSON of HTTP and text WebSockets writes it. */
interface Listed {
  topic: string;
  epoch: string;
  offset: string;
  data?: unknown;
  text?: string;
  base64?: string;
}

function listed({ topic, epoch, offset, data, text, base64 }: Listed): Publication {
  const where = { topic, position: { epoch, offset: Number(offset) }, keyframe: false };
  if (base64 !== undefined) return { ...where, data: Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), format: "binary" };
  return text !== undefined ? { ...where, data: text, format: "text" } : { ...where, data, format: "json" };
}
