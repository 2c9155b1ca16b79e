/** How far a staged upgrade is. */

import type { RolloutView } from "@/api/types";

export const AGENT_STATES = ["healthy", "trial", "offered", "waiting", "rolled_back", "failed", "skipped"] as const;

export const AGENT_TONE: Record<(typeof AGENT_STATES)[number], "good" | "warn" | "bad" | "idle" | "info" | "info2" | "info3"> = {
  healthy: "good",
  trial: "info",
  offered: "info2",
  waiting: "info3",
  rolled_back: "bad",
  failed: "bad",
  skipped: "idle",
};

export function isOver(state: RolloutView["state"]): boolean {
  return state === "done" || state === "cancelled" || state === "halted";
}

export type Step = "done" | "current" | "paused" | "bad" | "later";

/** Canary ring, then all others, then the end: where it stands. */
export function steps(rollout: Pick<RolloutView, "state" | "ring">): [canary: Step, all: Step, end: Step] {
  const { state, ring } = rollout;
  if (state === "done") return ["done", "done", "done"];
  const now: Step = state === "paused" ? "paused" : state === "halted" || state === "cancelled" ? "bad" : "current";
  return ring === "canary" ? [now, "later", "later"] : ["done", now, "later"];
}
