// Signs of the page, drawn inline.

import type { ReactNode } from "react";
import { teamColour, teamLetter } from "./teams.ts";

function icon(children: ReactNode) {
  return function Icon() {
    return (
      <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        {children}
      </svg>
    );
  };
}

export const PlayIcon = icon(<path d="M7 4.5v15l12-7.5z" fill="currentColor" fillOpacity="0.18" />);
export const WatchIcon = icon(<><path d="M2.5 12s3.5-6.5 9.5-6.5S21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" /><circle cx="12" cy="12" r="3" /></>);
export const OpsIcon = icon(<path d="M3 13h4l3-8 4 14 3-6h4" />);
export const ShareIcon = icon(<path d="M10 14a4 4 0 0 0 6 0l3.5-3.5a4 4 0 0 0-6-6L12 6M14 10a4 4 0 0 0-6 0l-3.5 3.5a4 4 0 0 0 6 6L12 18" />);
export const ExitIcon = icon(<path d="M14 4h5v16h-5M11 8l-4 4 4 4M7 12h9" />);
export const SeatIcon = icon(<path d="M7 4v9h10V4M5 13h14v3H5zM7 16v4M17 16v4" />);
export const ChatIcon = icon(<path d="M4 5h16v11H10l-4 4v-4H4z" />);
export const CameraIcon = icon(<><rect x="2.5" y="6.5" width="13" height="11" rx="2" /><path d="M15.5 11l6-3v8l-6-3" /></>);
export const HelpIcon = icon(<><circle cx="12" cy="12" r="9" /><path d="M9.5 9.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M12 17h.01" /></>);
export const BackIcon = icon(<path d="M15 5l-7 7 7 7" />);

/** Three bars: how good the connection is. */
export function SignalIcon({ level }: { level: 0 | 1 | 2 | 3 }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" className={level >= 3 ? "good" : level === 2 ? "warn" : "bad"}>
      {[0, 1, 2].map((bar) => (
        <rect key={bar} x={3 + bar * 7} y={15 - bar * 5} width="4.5" height={5 + bar * 5} rx="1" fill="currentColor" opacity={bar < level ? 1 : 0.25} />
      ))}
    </svg>
  );
}

/** The team's shape with its letter: colour is never the only signal. */
export function TeamMark({ team, label }: { team: number; label?: boolean }) {
  const name = `Team ${teamLetter(team)}`;
  return (
    <span className={`team ${["a", "b"][team] ?? ""}`} style={team > 1 ? { color: teamColour(team) } : undefined}>
      <svg viewBox="0 0 20 20" aria-hidden="true">{SHAPES[team % SHAPES.length]}</svg>
      <span className={label === false ? "hidden-visually" : ""}>{name}</span>
    </span>
  );
}

const SHAPES = [
  <path key="triangle" d="M10 2l9 16H1z" fill="currentColor" />,
  <circle key="circle" cx="10" cy="10" r="8.5" fill="currentColor" />,
  <path key="square" d="M2 2h16v16H2z" fill="currentColor" />,
  <path key="diamond" d="M10 0l10 10-10 10L0 10z" fill="currentColor" />,
];

/** The house's mark: a stage with two sides. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" fill="none" strokeWidth="3" strokeLinecap="round" aria-hidden="true">
      <path d="M5 23a11 11 0 0 1 22 0" stroke="var(--team-a)" />
      <path d="M10.5 23a5.5 5.5 0 0 1 11 0" stroke="var(--team-b)" />
    </svg>
  );
}
