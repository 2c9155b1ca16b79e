/** A clock that re-renders only as often as the shown age can change. */

import { useSyncExternalStore } from "react";
import { serverNow } from "./time";

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => listeners.forEach((call) => call()), 1000);
  return () => {
    listeners.delete(listener);
    if (!listeners.size) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** The server's time, cut to `period` ms. */
export function useNow(period = 1000): number {
  return useSyncExternalStore(subscribe, () => Math.floor(serverNow() / period) * period);
}
