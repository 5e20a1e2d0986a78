// Calls to `/api/v1`. Every failure becomes an `AmphiError`, but for a call that was given up.

import { CODE } from "./codes.ts";
import { AmphiError } from "./error.ts";

/** What a call carries besides its address. `token` is the user token, where the call needs one. */
export interface CallOptions {
  token?: string | undefined;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** Who a token is for. */
export interface User {
  id: string;
  name: string;
  role: "guest" | "user" | "editor" | "moderator" | "operator";
}
export interface SignedIn {
  token: string;
  user: User;
  /** When the token ends, unix µs. */
  expires_us: number;
}

interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  retry_after_ms?: number;
  request_id?: string;
}

/** One call: what it answers, as JSON. */
export async function call<T>(method: string, url: string, { token, body, signal }: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = {};
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }), ...(signal !== undefined && { signal }) };
  const response = await fetch(url, init).catch((error: unknown) => {
    throw signal?.aborted === true ? error : AmphiError.from(error);
  });
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as Problem;
  const code = Number(problem.code?.slice(1) ?? CODE.Internal);
  throw new AmphiError(code, problem.detail ?? problem.title, problem.retry_after_ms, problem.request_id);
}

/** Makes a guest of this name at the server `url`. */
export function signInAsGuest(url: string, name: string): Promise<SignedIn> {
  return call("POST", new URL("/api/v1/auth/guest", url).href, { body: { name } });
}
