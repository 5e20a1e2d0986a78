// A line of a chat.

/** A line as the server publishes it. */
export interface ChatLine {
  /** Its offset in the topic. */
  id: number;
  from: { id: string; name: string; role: string };
  text: string;
  at_us: number;
}

const HUES = [28, 205, 140, 330, 265, 175, 50, 0];

/** A person's own colour of name. */
export function nameColour(id: string): string {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  const hue = HUES[sum % HUES.length];
  return `light-dark(hsl(${hue} 75% 30%), hsl(${hue} 75% 70%))`;
}

/** An element with a part's name, which is its class too. */
export function part<K extends keyof HTMLElementTagNameMap>(tag: K, name: string, text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = name;
  element.setAttribute("part", name);
  element.textContent = text;
  return element;
}

/** How a line looks; `own` is one that its reader wrote. */
export function lineElement({ from, text, at_us }: ChatLine, own: boolean): HTMLLIElement {
  const line = part("li", own ? "line own" : "line");
  const at = new Date(at_us / 1_000);
  const time = part("time", "time", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = at.toISOString();
  time.title = at.toLocaleString();
  const who = part("span", "who", own ? `${from.name} (you)` : from.name);
  who.style.color = nameColour(from.id);
  line.append(time, who, " ");
  if (from.role !== "guest" && from.role !== "user") line.append(part("span", "badge", from.role), " ");
  const words = part("span", "text", text);
  words.dir = "auto";
  line.append(words);
  return line;
}
