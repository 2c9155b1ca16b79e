/** How far a run is. */

/** States of a task that nothing changes any more. */
export const OVER = new Set(["done", "refused", "failed", "expired", "cancelled"]);

export const TASK_STATES = ["pending", "sent", "done", "refused", "failed", "expired", "cancelled"] as const;

export const TASK_TONE: Record<string, "good" | "warn" | "bad" | "idle" | "info" | "info3"> = {
  done: "good",
  failed: "bad",
  refused: "bad",
  expired: "warn",
  cancelled: "idle",
  sent: "info",
  pending: "info3",
};

export function progress(run: { total: number; states?: Record<string, number> }): { over: number; bad: number; share: number } {
  const states = run.states ?? {};
  const over = Object.entries(states).reduce((sum, [state, number]) => sum + (OVER.has(state) ? number : 0), 0);
  const bad = (states.failed ?? 0) + (states.refused ?? 0) + (states.expired ?? 0);
  return { over, bad, share: run.total ? over / run.total : 1 };
}
