// The shell: a rail, and the page the address names.

import { lazy, type ReactNode, Suspense, useEffect, useState } from "react";
import { account } from "./account.ts";
import { Mark, OpsIcon, PlayIcon, WatchIcon } from "./parts/icons.tsx";
import { PlayPage } from "./play/play-page.tsx";
import { go, usePath, withTransport } from "./route.ts";
import { SignInPage } from "./signin-page.tsx";
import { useStore } from "./store.ts";
import { SpectatePage } from "./watch/spectate-page.tsx";
import { WatchPage } from "./watch/watch-page.tsx";

const OpsPage = lazy(() => import("./ops/ops-page.tsx").then(({ OpsPage }) => ({ default: OpsPage })));

/** The whole page. */
export function App() {
  const path = usePath();
  const [full, setFull] = useState(false);
  useEffect(() => setFull(false), [path]);
  return (
    <div className={full ? "shell full" : "shell"}>
      <Rail path={path} hidden={full} />
      <main className="main">
        <Suspense fallback={null}>{page(path, setFull)}</Suspense>
      </main>
    </div>
  );
}

function page(path: string, setFull: (full: boolean) => void): ReactNode {
  const match = /^\/m\/([a-z]+_[0-9a-z]+)$/i.exec(path)?.[1];
  if (match !== undefined) return <SpectatePage key={match} matchId={match} onFull={setFull} />;
  if (path === "/watch") return <WatchPage />;
  if (path === "/ops") return <OpsPage />;
  if (path === "/signin") return <SignInPage />;
  if (path === "/") return <PlayPage onFull={setFull} />;
  return <NotHere />;
}

function Rail({ path, hidden }: { path: string; hidden: boolean }) {
  const who = useStore(account)?.user;
  if (hidden) return null;
  return (
    <nav className="rail" aria-label="Pages">
      <a className="mark" href={withTransport("/")} onClick={follow("/")} aria-label="Amphi">
        <Mark />
      </a>
      <Item to="/" label="Play" current={path === "/"}><PlayIcon /></Item>
      <Item to="/watch" label="Watch" current={path === "/watch" || path.startsWith("/m/")}><WatchIcon /></Item>
      {who?.role === "operator" ? <Item to="/ops" label="Ops" current={path === "/ops"}><OpsIcon /></Item> : null}
      {who === undefined ? null : <span className="me" title={`${who.name}, ${who.role}`}>{who.name}</span>}
    </nav>
  );
}

function Item({ to, label, current, children }: { to: string; label: string; current: boolean; children: ReactNode }) {
  return (
    <a className="item" href={withTransport(to)} onClick={follow(to)} {...(current ? { "aria-current": "page" as const } : {})}>
      {children}
      {label}
    </a>
  );
}

/** A click that stays on this page. */
export function follow(to: string) {
  return (event: React.MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(to);
  };
}

function NotHere() {
  return (
    <div className="page">
      <div className="empty">
        <WatchIcon />
        <h2>There is nothing at this address</h2>
        <p className="muted">A match link looks like /m/mch_…. Running matches are under Watch.</p>
        <a className="button" href={withTransport("/watch")} onClick={follow("/watch")}>Watch a match</a>
      </div>
    </div>
  );
}
