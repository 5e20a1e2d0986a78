// Pictures painted once into canvases: the field, crates, the ball, name plates.

import { CanvasTexture, RepeatWrapping, SRGBColorSpace } from "three";
import { FIELD, TEAM_LETTERS } from "./frame.ts";

const TEAM_CSS = ["#ff9f43", "#4dabf7"] as const;

function paint(width: number, height: number, draw: (g: CanvasRenderingContext2D) => void): CanvasTexture {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  draw(canvas.getContext("2d")!);
  const texture = new CanvasTexture(canvas);
  texture.colorSpace = SRGBColorSpace;
  texture.anisotropy = 8;
  return texture;
}

/** The ground between the walls: mown stripes, lines, the two halves tinted. */
export function fieldTexture(): CanvasTexture {
  const scale = 32;
  const [w, h] = [FIELD.halfLength * 2 * scale, FIELD.halfWidth * 2 * scale];
  return paint(w, h, (g) => {
    for (let i = 0; i < 16; i++) {
      g.fillStyle = i % 2 === 0 ? "#2c4a48" : "#294441";
      g.fillRect((i * w) / 16, 0, w / 16, h);
    }
    const tint = g.createLinearGradient(0, 0, w, 0);
    tint.addColorStop(0, "#ff9f4338");
    tint.addColorStop(0.42, "#ff9f4300");
    tint.addColorStop(0.58, "#4dabf700");
    tint.addColorStop(1, "#4dabf738");
    g.fillStyle = tint;
    g.fillRect(0, 0, w, h);
    g.strokeStyle = "#e6f2f0b3";
    g.lineWidth = 5;
    g.strokeRect(12, 12, w - 24, h - 24);
    g.beginPath();
    g.moveTo(w / 2, 12);
    g.lineTo(w / 2, h - 12);
    g.stroke();
    g.beginPath();
    g.arc(w / 2, h / 2, 4.5 * scale, 0, 2 * Math.PI);
    g.stroke();
    g.beginPath();
    g.arc(w / 2, h / 2, 10, 0, 2 * Math.PI);
    g.fillStyle = "#e6f2f0";
    g.fill();
    for (const [side, colour] of [[0, TEAM_CSS[0]], [1, TEAM_CSS[1]]] as const) {
      g.strokeStyle = `${colour}cc`;
      const depth = 6 * scale;
      g.strokeRect(side === 0 ? 12 : w - 12 - depth, h / 2 - 6.5 * scale, depth, 13 * scale);
      g.save();
      g.translate(side === 0 ? w * 0.27 : w * 0.73, h / 2);
      g.rotate(side === 0 ? Math.PI / 2 : -Math.PI / 2);
      g.font = `700 ${5 * scale}px system-ui, sans-serif`;
      g.textAlign = "center";
      g.textBaseline = "middle";
      g.fillStyle = `${colour}33`;
      g.fillText(TEAM_LETTERS[side], 0, 0);
      g.restore();
    }
  });
}

/** A crate's side. */
export function crateTexture(): CanvasTexture {
  return paint(128, 128, (g) => {
    g.fillStyle = "#8d99ab";
    g.fillRect(0, 0, 128, 128);
    g.fillStyle = "#6b778a";
    g.fillRect(12, 12, 104, 104);
    g.strokeStyle = "#515d70";
    g.lineWidth = 10;
    g.beginPath();
    g.moveTo(16, 16);
    g.lineTo(112, 112);
    g.moveTo(112, 16);
    g.lineTo(16, 112);
    g.stroke();
    g.strokeStyle = "#dbe3ee";
    g.lineWidth = 4;
    g.strokeRect(4, 4, 120, 120);
  });
}

/** The ball: white with dark patches, so that its spin shows. */
export function ballTexture(): CanvasTexture {
  return paint(512, 256, (g) => {
    g.fillStyle = "#fffdf5";
    g.fillRect(0, 0, 512, 256);
    g.fillStyle = "#e8344e";
    for (let row = 0; row < 4; row++) {
      for (let column = 0; column < 6; column++) {
        const x = ((column + (row % 2) / 2) * 512) / 6;
        g.beginPath();
        g.ellipse(x, 32 + row * 64, 22 / Math.max(0.45, Math.sin(((32 + row * 64) / 256) * Math.PI)), 18, 0, 0, 2 * Math.PI);
        g.fill();
      }
    }
  });
}

/** A goal net. */
export function netTexture(): CanvasTexture {
  const texture = paint(64, 64, (g) => {
    g.clearRect(0, 0, 64, 64);
    g.strokeStyle = "#ffffff";
    g.lineWidth = 4;
    g.strokeRect(0, 0, 64, 64);
  });
  texture.wrapS = texture.wrapT = RepeatWrapping;
  return texture;
}

/** A name plate: the team's letter in its shape, the name, a bar of health. */
export function plateTexture(name: string, team: number, health: number): CanvasTexture {
  return paint(320, 80, (g) => {
    const colour = TEAM_CSS[team === 1 ? 1 : 0];
    g.font = "600 30px system-ui, sans-serif";
    let text = name;
    while (text.length > 1 && g.measureText(text).width > 212) text = `${text.slice(0, -2)}…`;
    const width = Math.min(312, g.measureText(text).width + 84);
    const left = (320 - width) / 2;
    g.fillStyle = "#0d1117b8";
    g.beginPath();
    g.roundRect(left, 2, width, 60, 14);
    g.fill();
    badge(g, left + 32, 32, team, colour);
    g.fillStyle = "#ffffff";
    g.textBaseline = "middle";
    g.font = "600 30px system-ui, sans-serif";
    g.fillText(text, left + 62, 33);
    g.fillStyle = "#ffffff30";
    g.fillRect(left + 8, 68, width - 16, 8);
    g.fillStyle = health > 35 ? colour : "#f85149";
    g.fillRect(left + 8, 68, ((width - 16) * Math.max(0, health)) / 100, 8);
  });
}

function badge(g: CanvasRenderingContext2D, x: number, y: number, team: number, colour: string): void {
  g.fillStyle = colour;
  g.beginPath();
  if (team === 0) {
    g.moveTo(x, y - 21);
    g.lineTo(x + 22, y + 17);
    g.lineTo(x - 22, y + 17);
  } else {
    g.arc(x, y, 19, 0, 2 * Math.PI);
  }
  g.fill();
  g.fillStyle = "#10151c";
  g.font = "700 22px system-ui, sans-serif";
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillText(TEAM_LETTERS[team === 1 ? 1 : 0], x, y + (team === 0 ? 5 : 1));
  g.textAlign = "start";
}
