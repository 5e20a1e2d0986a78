import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.AMPHI_URL ?? "http://127.0.0.1:7000";

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", outDir: "dist", chunkSizeWarningLimit: 900 },
  server: { proxy: { "/api": server, "/session": { target: server, ws: true } } },
  test: { include: ["test/**/*.test.ts"] },
});
