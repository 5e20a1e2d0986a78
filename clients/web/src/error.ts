// What the server refused, or what ended: one type for sessions, topics and HTTP.

import { type Action, actionOf, CODE, codeLabel, helpOf, nameOf } from "./codes.ts";

/** What went wrong: a numbered code (`docs/errors.md`), words for people, and what to do. */
export class AmphiError extends Error {
  /** The name of the code, for instance `RateLimited`. */
  override readonly name: string;
  /** `retry` the same later, `reconnect` elsewhere, or `stop`. */
  readonly action: Action;

  constructor(
    readonly code: number,
    message = "",
    readonly retryAfterMs = 0,
    readonly requestId = "",
  ) {
    super(message === "" ? helpOf(code) : message);
    this.name = nameOf(code);
    this.action = actionOf(code);
  }

  /** `A0402 AlreadyQueued`. */
  get label(): string {
    return `${codeLabel(this.code)} ${this.name}`;
  }

  /** Any failure as one of these; what is none of ours was a server that could not be reached. */
  static from(error: unknown): AmphiError {
    if (error instanceof AmphiError) return error;
    return new AmphiError(CODE.Unavailable, "The server did not answer. Check the connection and try again.");
  }
}
