// What a client reads of its own token: whose it is and when it ends. The server checks everything else.

/** A token is refreshed this long before its end, µs, or when half of what is left has passed, whichever is later. */
const MARGIN_US = 60_000_000;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** End of a token, unix µs; `undefined` when the text is no JWT with an expiry. */
export function expiryOf(token: string): number | undefined {
  const { exp } = claimsOf(token);
  return typeof exp === "number" ? exp * 1_000_000 : undefined;
}

/** Whom a token is for; of a token of our own that is the user's id. */
export function subjectOf(token: string): string | undefined {
  const { sub } = claimsOf(token);
  return typeof sub === "string" ? sub : undefined;
}

function claimsOf(token: string): { exp?: unknown; sub?: unknown } {
  try {
    const claims: unknown = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
    return typeof claims === "object" && claims !== null ? claims : {};
  } catch {
    return {};
  }
}

/** How long to wait with a refresh, ms; both times are unix µs. */
export function refreshDelay(expires: number, now: number): number {
  const left = Math.max(0, expires - now);
  return Math.min(TIMEOUT_MS_MAX, Math.max(left - MARGIN_US, left * 0.5) / 1_000);
}
