import { useTranslation } from "react-i18next";
import type { RolloutView } from "@/api/types";
import { count } from "@/lib/format";
import { AGENT_STATES, AGENT_TONE } from "@/lib/rollouts";

export function RolloutState({ state }: { state: RolloutView["state"] }) {
  const { t } = useTranslation();
  return <span className={`rollout rollout-${state}`}>{t(`rollout.state.${state}`)}</span>;
}

export function RolloutAgentState({ state }: { state: string }) {
  const { t } = useTranslation();
  return <span className={`slot slot-${state}`}>{t(`rollout.agent.${state}`, { defaultValue: state })}</span>;
}

/** Agents of a rollout by state, as one bar. */
export function RolloutBar({ states, total, words = true }: { states: Record<string, number>; total: number; words?: boolean }) {
  const { t } = useTranslation();
  const shown = AGENT_STATES.filter((state) => (states[state] ?? 0) > 0);
  const text = shown.map((state) => `${t(`rollout.agent.${state}`)} ${count(states[state] ?? 0)}`).join(", ");
  return (
    <div className="run-bar">
      <div className="share-bar" role="img" aria-label={`${t("rollout.progress")}: ${text || "0"}`}>
        {shown.map((state) => (
          <span key={state} className={`tone-${AGENT_TONE[state]}`} style={{ flexGrow: states[state] }} />
        ))}
      </div>
      {words && (
        <p className="run-words">
          <b>{t("rollout.total", { count: total, shown: count(total) })}</b>
          {shown.map((state) => (
            <span key={state}>
              <span className={`dot tone-${AGENT_TONE[state]}`} aria-hidden="true" /> {t(`rollout.agent.${state}`)} {count(states[state] ?? 0)}
            </span>
          ))}
        </p>
      )}
    </div>
  );
}
