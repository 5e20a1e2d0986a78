// Who else reads a topic, as far as its watcher was told.

import type * as wire from "./wire.ts";

/** A person with at least one connection that reads the topic. */
export interface Member {
  user: string;
  name: string;
  connections: number;
  /** What the person shows of itself. */
  meta: unknown;
}

/** Who is there now, and what has changed since the last time; the first time, nothing. */
export interface Presence {
  count: number;
  /** Everyone is in `members`. Without it there are too many for a list: `count` holds, and a few of them are there. */
  listed: boolean;
  members: ReadonlyMap<string, Member>;
  joined: Member[];
  changed: Member[];
  left: Member[];
}

export class Roster {
  private members: Map<string, Member> | undefined;

  /** Replaces what was known. */
  begin({ count, listed, members }: wire.PresenceState): Presence {
    const before = this.members;
    this.members = new Map(members.map((told) => [told.user, member(told)]));
    const missing = (from: Map<string, Member>, of: Map<string, Member>) => [...from.values()].filter(({ user }) => !of.has(user));
    // A sample says nothing of who came and went.
    const [joined, left] = before && listed ? [missing(this.members, before), missing(before, this.members)] : [[], []];
    return { count, listed, members: this.members, joined, changed: [], left };
  }

  apply({ count, listed, joined: came, changed: other, left: gone }: wire.PresenceDiff): Presence {
    const members = (this.members ??= new Map());
    const [joined, changed] = [came.map(member), other.map(member)];
    for (const each of [...joined, ...changed]) members.set(each.user, each);
    const left = gone.flatMap((user) => members.get(user) ?? []);
    for (const { user } of left) members.delete(user);
    return { count, listed, members, joined, changed, left };
  }
}

function member({ meta, ...told }: wire.Member): Member {
  return { ...told, meta: meta === "" ? undefined : (JSON.parse(meta) as unknown) };
}
