/** The server's live notices (SSE). The browser reconnects by itself. */

import { useEffect, useRef, useState } from "react";
import { serverNow } from "@/lib/time";
import { listen } from "./hub";
import type { Notice } from "./types";

export type StreamState = "connecting" | "live" | "lost";

export interface StreamHealth {
  state: StreamState;
  /** When the server last said anything, heartbeats included. */
  heardMs: number | null;
  /** Notices that the server could not deliver to this reader. */
  missed: number;
}

// Heartbeats come every 5 s. After three missed ones "live" would be a lie.
const SILENCE_MS = 16_000;

export function useStream(topics: readonly string[], onNotice: (notice: Notice) => void, enabled = true): StreamHealth {
  const [health, setHealth] = useState<StreamHealth>({ state: "connecting", heardMs: null, missed: 0 });
  const call = useRef(onNotice);
  call.current = onNotice;
  const wanted = topics.join(",");

  useEffect(() => {
    if (!enabled || typeof EventSource === "undefined") return undefined;
    const stop = listen({
      topics: wanted.split(","),
      state: (state) => setHealth((now) => ({ ...now, state, heardMs: state === "live" ? serverNow() : now.heardMs })),
      notice: (notice) => {
        if (notice.topic === "lost") setHealth((now) => ({ ...now, missed: now.missed + 1 }));
        else call.current(notice);
      },
    });
    const watch = setInterval(
      () => setHealth((now) => (now.state === "live" && serverNow() - (now.heardMs ?? 0) > SILENCE_MS ? { ...now, state: "lost" } : now)),
      5_000,
    );
    return () => {
      clearInterval(watch);
      stop();
    };
  }, [wanted, enabled]);
  return health;
}
