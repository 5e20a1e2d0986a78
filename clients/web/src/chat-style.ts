// How `<amphi-chat>` looks where its page says nothing else. Each `--amphi-…` and each part is for the page to set.

export const STYLE = `
:host {
  --_ground: var(--amphi-ground, light-dark(#ffffff, #161b22));
  --_line: var(--amphi-line, light-dark(#d0d7de, #30363d));
  --_text: var(--amphi-text, light-dark(#1f2328, #e6edf3));
  --_muted: var(--amphi-muted, light-dark(#57606a, #9aa4b2));
  --_accent: var(--amphi-accent, light-dark(#0b62b0, #4dabf7));
  --_on-accent: var(--amphi-on-accent, light-dark(#ffffff, #0d1117));
  --_bad: var(--amphi-bad, light-dark(#c4232b, #f85149));
  --_radius: var(--amphi-radius, 8px);
  display: block; height: 400px; min-height: 160px; color: var(--_text); background: var(--_ground);
  border: 1px solid var(--_line); border-radius: var(--_radius); overflow: hidden;
  font: var(--amphi-font, 14px/1.45 system-ui, sans-serif);
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.chat { position: relative; height: 100%; display: grid; grid-template-rows: minmax(0, 1fr) auto auto; }
ol { margin: 0; padding: 12px 16px; list-style: none; overflow-y: auto; overscroll-behavior: contain; display: grid; gap: 8px; align-content: start; }
li { overflow-wrap: anywhere; }
.who { font-weight: 600; }
.badge { padding: 0 6px; border: 1px solid var(--_line); border-radius: 999px; color: var(--_muted); font-size: 12px; }
time { float: inline-end; margin-inline-start: 8px; color: var(--_muted); font-variant-numeric: tabular-nums; }
.note, .waits { color: var(--_muted); }
.unread { display: flex; align-items: center; gap: 8px; color: var(--_bad); font-size: 12px; font-weight: 600; }
.unread::after { content: ""; flex: 1; border-top: 1px solid; }
.status { margin: 0; padding: 8px 16px; border-top: 1px solid var(--_line); color: var(--_muted); }
.status.bad, .hint.bad { color: var(--_bad); }
.status:empty { padding-block: 0; border: 0; }
form { display: grid; gap: 4px 8px; grid-template-columns: minmax(0, 1fr) auto; padding: 12px 16px max(12px, env(safe-area-inset-bottom)); border-top: 1px solid var(--_line); }
input { min-width: 0; min-height: 40px; padding: 0 12px; border: 1px solid var(--_line); border-radius: var(--_radius); background: transparent; color: inherit; font: inherit; font-size: max(16px, 1em); }
input::placeholder { color: var(--_muted); opacity: 1; }
input[aria-invalid="true"] { border-color: var(--_bad); }
button { min-height: 40px; padding: 0 16px; border: 1px solid var(--_line); border-radius: var(--_radius); background: var(--_ground); color: inherit; font: inherit; font-weight: 600; cursor: pointer; }
.send { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
button:disabled { border-color: var(--_line); background: transparent; color: var(--_muted); cursor: default; }
.hint { grid-column: 1 / -1; margin: 0; color: var(--_muted); }
.newest { position: absolute; left: 50%; translate: -50%; bottom: calc(100% + 8px); box-shadow: 0 4px 16px #0005; white-space: nowrap; }
.newest[hidden] { display: none; }
.foot { position: relative; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: -2px; }
`;
