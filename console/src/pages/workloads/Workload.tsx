import { Tabs } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { useWorkload } from "@/api/queries";
import type { WorkloadDetail } from "@/api/types";
import { useMay } from "@/app/session";
import { display } from "@/lib/text";
import { link, useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { AgentState, currentAgent, TierTag } from "@/ui/AgentBits";
import { ChangeList } from "@/ui/ChangeList";
import { EventList } from "@/ui/EventList";
import { PageHead } from "@/ui/PageHead";
import { Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { CollectNow } from "./CollectNow";
import { Collections } from "./Collections";
import { Desired } from "./Desired";
import { Summary } from "./Summary";
import { Tasks } from "./Tasks";

const DAY = 86_400_000;
const TABS = ["summary", "events", "changes", "collections", "desired", "tasks"] as const;

export default function Workload() {
  const id = useParams().id ?? "";
  const query = useWorkload(id);
  return query.data ? (
    <Shown detail={query.data} asOf={query.dataUpdatedAt} />
  ) : (
    <div className="page">
      <Loaded query={query} rows={12}>
        {() => null}
      </Loaded>
    </div>
  );
}

function Shown({ detail, asOf }: { detail: WorkloadDetail; asOf: number }) {
  const { t } = useTranslation();
  const url = useUrl();
  const analyst = useMay("analyst");
  const { workload } = detail;
  const agent = currentAgent(workload.agents ?? []);
  const tab = TABS.find((name) => name === url.get("tab")) ?? "summary";
  const [since] = useState(() => Date.now() - DAY);
  const full = tab === "events" || tab === "changes";
  return (
    <div className={`page ${full ? "page-fill" : ""}`}>
      <PageHead
        title={<Text value={workload.hostname} />}
        tab={display(workload.hostname)}
        crumbs={[{ to: "/workloads", label: t("nav.workloads") }]}
        sub={
          <>
            {agent && <AgentState state={agent.state} />} <TierTag tier={agent?.sensor?.tier} />{" "}
            <span>
              {t("workload.heard")} <Age ms={workload.last_seen_ms} />
            </span>
          </>
        }
        actions={
          <>
            <Link className="button-link" to={link("/inventory", { workload: workload.id })}>
              {t("workload.assets")}
            </Link>
            {analyst && <CollectNow workload={workload.id} />}
          </>
        }
      />
      <Tabs
        activeKey={tab}
        onChange={(key) => url.set({ tab: key === "summary" ? null : key, q: null, table: null, self: null })}
        items={TABS.map((key) => ({ key, label: t(`workload.tab.${key}`) }))}
        destroyOnHidden
      />
      {tab === "summary" && <Summary detail={detail} asOf={asOf} />}
      {tab === "events" && <EventList workload={workload.id} />}
      {tab === "changes" && <ChangeList workload={workload.id} since={since} />}
      {tab === "collections" && <Collections detail={detail} asOf={asOf} />}
      {tab === "desired" && <Desired key={detail.desired_version} detail={detail} />}
      {tab === "tasks" && <Tasks workload={workload.id} />}
    </div>
  );
}
