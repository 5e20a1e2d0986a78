// What happened, its code, what to do.

import type { ReactNode } from "react";
import { AmphiError } from "../../src/error.ts";

const WHAT_TO_DO = {
  retry: "Trying again in a moment can help.",
  reconnect: "The page connects again by itself; reload it if that takes long.",
  stop: "",
} as const;

/** An error as a card. */
export function ErrorNotice({ error, title, children }: { error: unknown; title: string; children?: ReactNode }) {
  const failure = AmphiError.from(error);
  return (
    <div className="notice" role="alert">
      <span className="bad" aria-hidden="true">■</span>
      <strong>{title}</strong>
      <p>
        {failure.message} {WHAT_TO_DO[failure.action]} <span className="code">{failure.label}</span>
      </p>
      {children === undefined ? null : <div className="row">{children}</div>}
    </div>
  );
}

/** `2:05` of seconds. */
export function clockText(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The last letters of an id; a click copies the whole. */
export function ShortId({ id }: { id: string }) {
  return (
    <button type="button" className="button quiet num" style={{ minHeight: 28, padding: "0 6px", fontWeight: 400 }} title={`${id} (click to copy)`} onClick={() => void navigator.clipboard?.writeText(id)}>
      …{id.slice(-6)}
    </button>
  );
}
