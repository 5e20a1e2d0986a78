// The match this tab is in, over reloads.

import type { Saved } from "../../src/session-types.ts";
import type { SeatGrant } from "../api.ts";

const STORED = "amphi.match";

interface StoredMatch {
  grant: SeatGrant;
  saved: { session: string; secret: number[]; generation: number } | undefined;
}

/** The seat that is kept; `undefined` when there is none. */
export function storedMatch(): StoredMatch | undefined {
  try {
    return (JSON.parse(sessionStorage.getItem(STORED) ?? "null") as StoredMatch | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a seat, with what resumes its session once there is one. */
export function storeMatch(grant: SeatGrant, saved: Saved | undefined): void {
  const stored: StoredMatch = { grant, saved: saved && { ...saved, secret: [...saved.secret] } };
  sessionStorage.setItem(STORED, JSON.stringify(stored));
}

/** Forgets the seat. */
export function forgetMatch(): void {
  sessionStorage.removeItem(STORED);
}
