// /signin#code: a one-time link becomes an account in this browser.

import { useEffect, useState } from "react";
import { signInWith } from "./account.ts";
import { ErrorNotice } from "./parts/notice.tsx";
import { go } from "./route.ts";

const started = new Map<string, Promise<unknown>>();

/** Exchanges the code behind the `#`. */
export function SignInPage() {
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    const code = decodeURIComponent(location.hash.slice(1));
    // The code works once, also when this component is mounted twice.
    if (!started.has(code)) {
      started.set(code, signInWith(code).then(({ user }) => {
        history.replaceState(null, "", "/signin");
        go(user.role === "operator" ? "/ops" : "/");
      }));
    }
    started.get(code)!.catch(setError);
  }, []);
  return (
    <div className="page">
      {error === undefined ? <p className="muted" role="status">Signing in…</p> : (
        <ErrorNotice title="This link does not sign anyone in" error={error}>
          <button type="button" className="button" onClick={() => go("/")}>Play as a guest</button>
        </ErrorNotice>
      )}
    </div>
  );
}
