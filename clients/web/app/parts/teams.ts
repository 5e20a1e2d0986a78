// Teams by number: their colours and letters.

/** Colours on dark ground; from the ninth team on they repeat. */
const COLOURS = ["#ff9f43", "#4dabf7", "#69db7c", "#da77f2", "#ffd43b", "#ff8787", "#66d9e8", "#f783ac"] as const;

/** Colour of a team on dark ground. */
export function teamColour(team: number): string {
  return COLOURS[team % COLOURS.length]!;
}

/** Letter of a team: colour is never the only signal. */
export function teamLetter(team: number): string {
  return String.fromCharCode(65 + (team % 26));
}
