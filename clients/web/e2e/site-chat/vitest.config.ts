import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: fileURLToPath(new URL(".", import.meta.url)),
    include: ["*.e2e.ts"],
    globalSetup: "server.ts",
    testTimeout: 240_000,
    hookTimeout: 60_000,
    retry: 0,
  },
});
