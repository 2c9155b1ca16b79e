import { useTranslation } from "react-i18next";
import type { AgentView } from "@/api/types";

export function AgentState({ state }: { state: AgentView["state"] }) {
  const { t } = useTranslation();
  return (
    <span className={`agent agent-${state}`}>
      <span className="live-dot" aria-hidden="true" />
      {t(`agent.${state}`)}
    </span>
  );
}

export function TierTag({ tier }: { tier: string | undefined }) {
  const { t } = useTranslation();
  if (!tier) return <span className="not-assessed">{t("tier.unknown")}</span>;
  return (
    <span className={`tier tier-${tier}`} title={t(`tier.${tier}.long`)}>
      {t(`tier.${tier}.short`)}
    </span>
  );
}

/** What an agent did about its package; hatched where it never said anything. */
export function SlotState({ agent }: { agent: AgentView }) {
  const { t } = useTranslation();
  if (!agent.package) return <span className="not-assessed">{t("tier.unknown")}</span>;
  const { state, message } = agent.package;
  return (
    <span className={`slot slot-${state}`} title={message || t(`slot.${state}.long`)}>
      {t(`slot.${state}.short`)}
    </span>
  );
}

/** The agent that speaks for a workload now: the one heard last that is not revoked. */
export function currentAgent(agents: readonly AgentView[]): AgentView | undefined {
  const alive = agents.filter((agent) => agent.state !== "revoked");
  return (alive.length ? alive : [...agents]).toSorted((a, b) => (b.last_beat_ms ?? 0) - (a.last_beat_ms ?? 0))[0];
}
