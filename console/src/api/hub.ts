/**
 * One stream of notices per tab, whoever listens: browsers give an origin few connections, and a
 * tab that nobody looks at needs none.
 */

import type { Notice } from "./types";

export interface Listener {
  topics: readonly string[];
  notice(notice: Notice): void;
  /** Something was heard, or the contact changed. */
  state(state: "connecting" | "live" | "lost"): void;
}

/** A hidden tab lets go of its connection after this long. */
const HIDDEN_MS = 20_000;

const listeners = new Set<Listener>();
let source: EventSource | null = null;
let wanted = "";
let planned: ReturnType<typeof setTimeout> | null = null;
let hidden: ReturnType<typeof setTimeout> | null = null;
let away = false;

function topics(): string {
  return [...new Set([...listeners].flatMap((one) => one.topics))].toSorted().join(",");
}

function tell(state: "connecting" | "live" | "lost"): void {
  listeners.forEach((one) => one.state(state));
}

function close(): void {
  source?.close();
  source = null;
  wanted = "";
}

function open(): void {
  const now = away ? "" : topics();
  if (now === wanted) return;
  close();
  if (!now) return;
  wanted = now;
  const mine = new EventSource(`/api/v1/stream?topics=${encodeURIComponent(now)}`);
  source = mine;
  mine.onopen = () => tell("live");
  mine.addEventListener("heartbeat", () => tell("live"));
  mine.addEventListener("notice", (event: MessageEvent<string>) => {
    tell("live");
    const notice = JSON.parse(event.data) as Notice;
    for (const one of listeners) {
      if (notice.topic === "lost" || one.topics.includes(notice.topic)) one.notice(notice);
    }
  });
  mine.onerror = () => tell(mine.readyState === EventSource.CLOSED ? "lost" : "connecting");
}

/** Listeners of one page come and go together: one new connection for all of them. */
function plan(): void {
  planned ??= setTimeout(() => {
    planned = null;
    open();
  }, 30);
}

function onVisibility(): void {
  clearTimeout(hidden ?? undefined);
  hidden = null;
  if (document.visibilityState === "hidden") {
    hidden = setTimeout(() => {
      away = true;
      close();
      tell("connecting");
    }, HIDDEN_MS);
  } else {
    away = false;
    plan();
  }
}

/** Listen until the returned function is called. */
export function listen(one: Listener): () => void {
  if (!listeners.size) document.addEventListener("visibilitychange", onVisibility);
  listeners.add(one);
  plan();
  return () => {
    listeners.delete(one);
    if (!listeners.size) document.removeEventListener("visibilitychange", onVisibility);
    plan();
  };
}
