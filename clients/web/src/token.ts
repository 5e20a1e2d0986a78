// What a client reads of its own token: when it ends. The server checks everything else.

/** A token is refreshed this long before its end, µs, or when half of what is left has passed, whichever is later. */
const MARGIN_US = 60_000_000;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** End of a token, unix µs; `undefined` when the text is no JWT with an expiry. */
export function expiryOf(token: string): number | undefined {
  const claims = token.split(".")[1];
  if (claims === undefined) return undefined;
  try {
    const { exp } = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1_000_000 : undefined;
  } catch {
    return undefined;
  }
}

/** How long to wait with a refresh, ms; both times are unix µs. */
export function refreshDelay(expires: number, now: number): number {
  const left = Math.max(0, expires - now);
  return Math.min(TIMEOUT_MS_MAX, Math.max(left - MARGIN_US, left * 0.5) / 1_000);
}
