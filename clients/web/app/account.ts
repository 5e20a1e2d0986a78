// Who is at this page: a guest is made when one is needed, the token stays in the browser.

import { CODE } from "../src/codes.ts";
import { AmphiError } from "../src/error.ts";
import { call, type SignedIn } from "../src/http.ts";
import { Store } from "./store.ts";

const KEY = "amphi.account";
const NAME_KEY = "amphi.name";
/** A token with less time than this is renewed, µs. */
const SPARE_US = 600 * 1e6;

const ADJECTIVES = ["Swift", "Calm", "Brave", "Lucky", "Bold", "Quiet", "Sunny", "Keen"];
const ANIMALS = ["Otter", "Falcon", "Lynx", "Heron", "Badger", "Gecko", "Marten", "Raven"];

/** The signed-in person, or nobody yet. */
export const account = new Store<SignedIn | undefined>(read());

function read(): SignedIn | undefined {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "null") as SignedIn | null;
    if (stored !== null && stored.expires_us > Date.now() * 1_000 + SPARE_US) return stored;
  } catch {
    localStorage.removeItem(KEY);
  }
  return undefined;
}

function keep(signedIn: SignedIn): SignedIn {
  localStorage.setItem(KEY, JSON.stringify(signedIn));
  account.set(signedIn);
  return signedIn;
}

/** The name to suggest: the last one used here, else an invented one. */
export function suggestedName(): string {
  const last = localStorage.getItem(NAME_KEY);
  if (last !== null) return last;
  const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)]!;
  const name = `${pick(ADJECTIVES)} ${pick(ANIMALS)}`;
  localStorage.setItem(NAME_KEY, name);
  return name;
}

let making: Promise<SignedIn> | undefined;

/** The account; makes a guest when there is none, or when a guest wants another name. */
export async function signedIn(name?: string): Promise<SignedIn> {
  const known = account.value;
  const wanted = (name ?? suggestedName()).trim();
  if (known !== undefined && (known.user.role !== "guest" || name === undefined || known.user.name === wanted)) return known;
  localStorage.setItem(NAME_KEY, wanted);
  making ??= call<SignedIn>("POST", "/api/v1/auth/guest", { body: { name: wanted } })
    .then(keep)
    .finally(() => (making = undefined));
  return making;
}

/** Exchanges a one-time code for an account. */
export async function signInWith(code: string): Promise<SignedIn> {
  return keep(await call<SignedIn>("POST", "/api/v1/auth/signin", { body: { code } }));
}

/** Forgets the account. */
export function signOut(): void {
  localStorage.removeItem(KEY);
  account.set(undefined);
}

/** A call as the signed-in person. A token the server no longer takes is replaced once. */
export async function callAs<T>(method: string, path: string, options: { body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const { token } = await signedIn();
  try {
    return await call<T>(method, path, { ...options, token });
  } catch (error) {
    const stale = error instanceof AmphiError && (error.code === CODE.TokenInvalid || error.code === CODE.TokenExpired);
    if (!stale) throw error;
    signOut();
    const fresh = await signedIn();
    return call<T>(method, path, { ...options, token: fresh.token });
  }
}
