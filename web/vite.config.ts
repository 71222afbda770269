import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// hatch_build.py hands over the hash of the sources; a page without one was built or tested by hand.
const build = process.env["CARETS_BUILD"] ?? "unpackaged00";

export default defineConfig({
  // Relative, so that one build serves any --base-path.
  base: "./",
  define: { __CARETS_BUILD__: JSON.stringify(build) },
  plugins: [svelte()],
  build: {
    target: "baseline-widely-available",
    // A data: URL would need a hole in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1024,
    outDir: process.env["CARETS_PAGE"] ?? "dist",
    emptyOutDir: true,
  },
  test: {
    environment: "node",
    include: ["src/**/*.test.ts", "tests/**/*.test.ts"],
  },
});
