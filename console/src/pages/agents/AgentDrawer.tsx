import { useQuery } from "@tanstack/react-query";
import { Drawer } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { ApiError, client, data } from "@/api/client";
import type { AgentView } from "@/api/types";
import { useHotkeys } from "@/app/hotkeys";
import { quote } from "@/lib/filter";
import { link } from "@/lib/url";
import { Age, Until } from "@/ui/Age";
import { AgentState, SlotState, TierTag } from "@/ui/AgentBits";
import { AlarmItems } from "@/ui/AlarmItems";
import { BudgetFacts } from "@/ui/BudgetFacts";
import { PackageFacts } from "@/ui/PackageFacts";
import { Failed, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";

/** One agent beside the list: its package, how it keeps to its budget, and what is wrong. */
export function AgentDrawer({ id, onClose }: { id: string; onClose(): void }) {
  const { t } = useTranslation();
  useHotkeys([{ key: "Escape", label: "keys.close", run: onClose }], Boolean(id));
  const query = useQuery({
    queryKey: ["agents", "one", id],
    queryFn: async () => {
      const page = await data(client.GET("/api/v1/agents", { params: { query: { filter: `id = ${quote(id, "str")}`, limit: 1 } } }));
      const found = page.items[0];
      if (!found) throw new ApiError(404, "not_found", t("agents.gone"));
      return found;
    },
    enabled: Boolean(id),
    refetchInterval: 5_000,
  });
  const agent = query.data;
  return (
    <Drawer
      open={Boolean(id)}
      onClose={onClose}
      size={600}
      mask={false}
      title={agent ? <Text value={agent.hostname} /> : t("field.agent")}
      extra={agent && <Link to={`/workloads/${agent.workload}`}>{t("agents.toWorkload")}</Link>}
      destroyOnHidden
    >
      {query.error && !agent ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <Loaded query={query} rows={10}>
          {(one) => <Body agent={one} />}
        </Loaded>
      )}
    </Drawer>
  );
}

function Body({ agent }: { agent: AgentView }) {
  const { t } = useTranslation();
  return (
    <div className="stack asset">
      <p className="drawer-states">
        <AgentState state={agent.state} /> <TierTag tier={agent.sensor?.tier} /> <SlotState agent={agent} />
        <span className="muted">
          {t("workload.heard")} <Age ms={agent.last_beat_ms} />
        </span>
      </p>
      {agent.goodbye && <p className="notice">{t(`agents.goodbye.${agent.goodbye}`, { defaultValue: agent.goodbye })}</p>}
      <h3>{t("alarm.openTitle")}</h3>
      <AlarmItems filter={`agent = ${quote(agent.id, "str")} and open = true`} none={t("alarm.noneOpen")} hosts={false} />
      <h3>{t("slot.title")}</h3>
      <PackageFacts agent={agent} />
      <h3>{t("budget.stateTitle")}</h3>
      <BudgetFacts agent={agent} />
      <h3>{t("agents.identity")}</h3>
      <dl className="facts">
        <div>
          <dt>{t("agents.id")}</dt>
          <dd>
            <code>{agent.id}</code>
          </dd>
        </div>
        <div>
          <dt>{t("field.version")}</dt>
          <dd>
            <Text value={agent.version} />
          </dd>
        </div>
        <div>
          <dt>{t("agents.enrolled")}</dt>
          <dd>
            <Age ms={agent.enrolled_ms} />
          </dd>
        </div>
        <div>
          <dt>{t("agents.certificate")}</dt>
          <dd>{agent.certificate_expires_ms ? <Until ms={agent.certificate_expires_ms} /> : "–"}</dd>
        </div>
      </dl>
      <p>
        <Link to={link(`/workloads/${agent.workload}`, { tab: "events", table: "blind_time" })}>{t("agents.blind")}</Link>
      </p>
    </div>
  );
}
