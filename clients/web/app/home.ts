// The home session of this page: one connection for every topic.

import type { Endpoint } from "../src/pipe.ts";
import { connect as connectTopics, type TopicsClient } from "../src/topics.ts";
import { account, signedIn, signOut } from "./account.ts";
import { AmphiError } from "../src/error.ts";
import { forcedTransport } from "./route.ts";

let client: Promise<TopicsClient> | undefined;
let clientToken = "";

/** The session's client; connects when there is none, or when another account is in use. */
export async function home(): Promise<TopicsClient> {
  const { token } = await signedIn();
  if (client !== undefined && clientToken === token) return client;
  const old = client;
  clientToken = token;
  client = Promise.resolve(connect(token));
  if (old !== undefined) void old.then((known) => known.close());
  return client;
}

function connect(token: string): TopicsClient {
  return connectTopics({
    url: location.origin,
    token,
    onOver: ({ code, action }) => {
      client = undefined;
      // A token the server does not take any more: the next use makes a new guest.
      if (code >= 200 && code < 300 && account.value?.user.role === "guest" && action === "stop") signOut();
    },
  });
}

/** Endpoints that `?transport=` leaves; all, when it leaves none. */
export function allowed(all: Endpoint[]): Endpoint[] {
  const forced = forcedTransport();
  const wanted = forced === "ws" ? ["ws"] : forced === "wt" ? ["webtransport"] : ["webtransport", "ws"];
  const left = all.filter(({ transport }) => wanted.includes(transport));
  if (left.length === 0) throw new AmphiError(901, "This match offers no transport that this browser can use.");
  return left;
}
