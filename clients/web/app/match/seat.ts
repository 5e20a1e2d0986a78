// The session of a seat, as long as somebody looks at it.

import { useEffect, useRef, useState } from "react";
import type { SeatGrant } from "../api.ts";

interface Leaves {
  leave(): void;
}

const open = new Map<SeatGrant, { session: Leaves; users: number }>();

/** A connect token works once, so the session is made in an effect and outlives a second mount of the same grant. */
export function useSeat<S extends Leaves>(grant: SeatGrant, make: () => S): S | undefined {
  const [session, setSession] = useState<S>();
  const maker = useRef(make);
  maker.current = make;
  useEffect(() => {
    const entry = open.get(grant) ?? { session: maker.current(), users: 0 };
    open.set(grant, entry);
    entry.users += 1;
    setSession(entry.session as S);
    return () => {
      entry.users -= 1;
      setTimeout(() => {
        if (entry.users > 0) return;
        open.delete(grant);
        entry.session.leave();
      }, 50);
    };
  }, [grant]);
  return session;
}
