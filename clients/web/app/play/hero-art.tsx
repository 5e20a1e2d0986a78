// The arena as a drawing, behind the lobby and the queue.

/** Field lines, both teams' shapes, the ball. */
export function HeroArt() {
  return (
    <svg className="hero-art" viewBox="0 0 1200 800" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <g fill="none" stroke="var(--line)" strokeWidth="2.5">
        <path d="M120 660L330 190h540l210 470z" />
        <path d="M600 190v470M225 425h0" />
        <ellipse cx="600" cy="400" rx="120" ry="62" />
        <path d="M196 490l72-160h58l-60 160zM1004 490l-72-160h-58l60 160z" />
        <path d="M60 700a560 330 0 0 1 1080 0M10 720a600 370 0 0 1 1180 0" opacity="0.5" />
      </g>
      <g fill="var(--team-a)">
        <path d="M300 300l26 46h-52z" opacity="0.9" /><path d="M330 415l32 56h-64z" opacity="0.9" /><path d="M250 560l30 53h-60z" opacity="0.55" />
      </g>
      <g fill="var(--team-b)">
        <circle cx="880" cy="300" r="23" opacity="0.9" /><circle cx="905" cy="455" r="29" opacity="0.9" /><circle cx="965" cy="570" r="27" opacity="0.55" />
      </g>
      <circle cx="352" cy="625" r="22" fill="#fff" stroke="#e8344e" strokeWidth="6" />
      <path d="M282 602q30 16 50 20" stroke="var(--muted)" strokeWidth="3" strokeDasharray="4 10" fill="none" strokeLinecap="round" />
    </svg>
  );
}
