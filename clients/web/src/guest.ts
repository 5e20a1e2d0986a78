// Guests of a page: one per server and browser, kept until its token ends.

import { type SignedIn, signInAsGuest } from "./http.ts";

/** A token with less time than this is not taken out again, µs. */
const SPARE_US = 600e6;

const key = (server: string) => `amphi.guest:${new URL(server).origin}`;

/** Several chats of one page are one guest. */
const making = new Map<string, Promise<SignedIn>>();

/** The guest that this browser is at `server`; makes one when there is none, or none of this name. */
export async function guestAt(server: string, name: string | undefined): Promise<SignedIn> {
  const kept = read(server);
  if (kept !== undefined && (name === undefined || kept.user.name === name)) return kept;
  const one = `${key(server)} ${name}`;
  const made = making.get(one) ?? make(server, name).finally(() => making.delete(one));
  making.set(one, made);
  return made;
}

async function make(server: string, name: string | undefined): Promise<SignedIn> {
  const made = await signInAsGuest(server, name ?? `Guest ${1_000 + Math.floor(Math.random() * 9_000)}`);
  try {
    localStorage.setItem(key(server), JSON.stringify(made));
  } catch {
    // A page that may store nothing has another guest each time.
  }
  return made;
}

/** The server does not take the kept token any more. */
export function forgetGuest(server: string): void {
  try {
    localStorage.removeItem(key(server));
  } catch {
    // Nothing was kept.
  }
}

function read(server: string): SignedIn | undefined {
  try {
    const kept = JSON.parse(localStorage.getItem(key(server)) ?? "null") as SignedIn | null;
    return kept !== null && kept.expires_us > Date.now() * 1_000 + SPARE_US ? kept : undefined;
  } catch {
    return undefined;
  }
}
