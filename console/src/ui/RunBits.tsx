import { useTranslation } from "react-i18next";
import type { RunView } from "@/api/types";
import { count } from "@/lib/format";
import { OVER, progress, TASK_TONE } from "@/lib/runs";

export function RunState({ state }: { state: RunView["state"] }) {
  const { t } = useTranslation();
  return <span className={`task task-${state}`}>{t(`run.state.${state}`)}</span>;
}

export function TaskState({ state }: { state: string }) {
  const { t } = useTranslation();
  return <span className={`task task-${state}`}>{t(`task.states.${state}`, { defaultValue: state })}</span>;
}

/** How far a run is: one bar cut by the states of its tasks, and the counts in words. */
export function RunBar({ run, words = true }: { run: RunView; words?: boolean }) {
  const { t } = useTranslation();
  const { over } = progress(run);
  const shares = Object.entries(run.states ?? {}).filter(([, number]) => number > 0);
  const order = shares.toSorted(([a], [b]) => Number(OVER.has(b)) - Number(OVER.has(a)) || a.localeCompare(b));
  return (
    <div className="run-bar">
      <div
        className="share-bar"
        role="progressbar"
        aria-label={t("run.progress")}
        aria-valuemin={0}
        aria-valuemax={run.total}
        aria-valuenow={over}
      >
        {order.map(([state, number]) => (
          <span key={state} className={`tone-${TASK_TONE[state] ?? "idle"}`} style={{ flexGrow: number }} />
        ))}
      </div>
      {words && (
        <p className="run-words">
          <b>{t("run.overOf", { over: count(over), total: count(run.total) })}</b>
          {order.map(([state, number]) => (
            <span key={state}>
              <span className={`dot tone-${TASK_TONE[state] ?? "idle"}`} aria-hidden="true" /> {t(`task.states.${state}`, { defaultValue: state })} {count(number)}
            </span>
          ))}
        </p>
      )}
    </div>
  );
}
