import { cleanup } from "@testing-library/react";
import { afterEach } from "vitest";

// jsdom has no layout.
class NoLayout {
  observe() {}
  unobserve() {}
  disconnect() {}
}
globalThis.ResizeObserver ??= NoLayout as unknown as typeof ResizeObserver;

afterEach(cleanup);
