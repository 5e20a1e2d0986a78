// Numbered reasons for refusals and closes: `docs/errors.md`.

import { CODES } from "./codes-table.ts";

export type Action = "retry" | "reconnect" | "stop";
type Row = (typeof CODES)[number];
export type CodeName = Row[1];

/** Numbers by name. */
export const CODE = Object.fromEntries(CODES.map(([number, name]) => [name, number])) as Record<CodeName, number>;

const ROWS = new Map<number, Row>(CODES.map((row) => [row[0], row]));

/** What to do about a code; an unknown one stops. */
export function actionOf(code: number): Action {
  return ROWS.get(code)?.[2] ?? "stop";
}

/** The name of a code, for people who search for it. */
export function nameOf(code: number): string {
  return ROWS.get(code)?.[1] ?? "Unknown";
}

/** One sentence: what happened and what to do. */
export function helpOf(code: number): string {
  return ROWS.get(code)?.[3] ?? "The server gave a reason that this page does not know; reload the page.";
}

/** `A0402`, as everywhere. */
export function codeLabel(code: number): string {
  return `A${String(code).padStart(4, "0")}`;
}
