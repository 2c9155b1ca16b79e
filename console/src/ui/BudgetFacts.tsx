import { useTranslation } from "react-i18next";
import type { AgentView } from "@/api/types";
import { percent } from "@/lib/format";
import { Text } from "./Text";

/** How the grants are kept on the machine now, as the agent's last beat says. */
export function BudgetFacts({ agent }: { agent: AgentView }) {
  const { t } = useTranslation();
  const state = agent.budget;
  if (!state) return <p className="not-assessed">{t("budget.noState")}</p>;
  const pressure = Object.entries(state.pressure ?? {});
  return (
    <dl className="facts">
      <div>
        <dt>{t("budget.by")}</dt>
        <dd>
          {t(`budget.byKind.${state.by}`)}
          {state.detail && (
            <div className="muted">
              <Text value={state.detail} />
            </div>
          )}
        </dd>
      </div>
      <div>
        <dt>{t("budget.pressure")}</dt>
        <dd>
          {state.pressure ? (
            pressure.map(([name, value]) => (
              <span key={name} className="chip">
                {t(`budget.pressureOf.${name}`, { defaultValue: name })} {percent(value)}
              </span>
            ))
          ) : (
            <span className="not-assessed">{t("budget.pressureUnknown")}</span>
          )}{" "}
          {state.backing_off && <b className="warn-text">{t("budget.backingOff")}</b>}
        </dd>
      </div>
      <div>
        <dt>{t("window.title")}</dt>
        <dd>{t(state.window_open ? "window.openNow" : "window.closedNow")}</dd>
      </div>
      <div>
        <dt>{t("budget.shedLevel")}</dt>
        <dd>
          {state.shed_level ? (
            <b className="warn-text">
              {state.shed_level} · <Text value={state.shed ?? ""} />
            </b>
          ) : (
            t("budget.shedNothing")
          )}
        </dd>
      </div>
    </dl>
  );
}
