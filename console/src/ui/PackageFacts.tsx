import { useTranslation } from "react-i18next";
import type { AgentView } from "@/api/types";
import { SlotState } from "./AgentBits";
import { Text } from "./Text";

/** Which package runs in which slot, and what became of the one that was wanted. */
export function PackageFacts({ agent }: { agent: AgentView }) {
  const { t } = useTranslation();
  const one = agent.package;
  if (!one) return <p className="not-assessed">{t("slot.unknown")}</p>;
  if (one.state === "none") return <p>{t("slot.none.long")}</p>;
  return (
    <dl className="facts">
      <div>
        <dt>{t("field.state")}</dt>
        <dd>
          <SlotState agent={agent} /> <span className="muted">{t(`slot.${one.state}.long`)}</span>
        </dd>
      </div>
      <div>
        <dt>{t("slot.runs")}</dt>
        <dd>
          <Text value={one.version || "–"} /> {one.sequence ? <span className="muted">#{one.sequence}</span> : null} {one.slot && <span className="muted">{t("slot.slot", { slot: one.slot })}</span>}
          {one.sha256 && <div className="mono break muted">{one.sha256}</div>}
        </dd>
      </div>
      {one.wanted && one.wanted !== one.sha256 && (
        <div>
          <dt>{t("slot.wanted")}</dt>
          <dd className="mono break">{one.wanted}</dd>
        </div>
      )}
      {one.message && (
        <div>
          <dt>{t("slot.reason")}</dt>
          <dd className={one.state === "rolled_back" || one.state === "failed" ? "bad-text" : undefined}>
            <Text value={one.message} />
          </dd>
        </div>
      )}
    </dl>
  );
}
