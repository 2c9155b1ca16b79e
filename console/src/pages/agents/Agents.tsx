import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { useOpenAlarms } from "@/api/queries";
import { useMay } from "@/app/session";
import { count } from "@/lib/format";
import { useUrl } from "@/lib/url";
import { EnrolButton } from "@/ui/Enrol";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { AgentList } from "./AgentList";
import { Alarms } from "./Alarms";
import { Enrolments } from "./Enrolments";
import { Packages } from "./Packages";
import { Rollouts } from "./Rollouts";
import { StartButton } from "./StartRollout";
import { UploadButton } from "./Upload";

export default function Agents() {
  const { t } = useTranslation();
  const url = useUrl();
  const admin = useMay("admin");
  const open = useOpenAlarms().data;
  const alarms = open ? (open.total ?? open.items.length) : 0;
  const tabs = ["agents", "packages", "rollouts", "alarms", ...(admin ? ["enrolments"] : [])];
  const tab = tabs.includes(url.get("tab")) ? url.get("tab") : "agents";
  const labels: Record<string, string> = {
    agents: t("nav.agents"),
    packages: t("agents.tab.packages"),
    rollouts: t("agents.tab.rollouts"),
    alarms: alarms ? `${t("agents.tab.alarms")} (${count(alarms)})` : t("agents.tab.alarms"),
    enrolments: t("agents.enrolments"),
  };
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.agents")}
        sub={t("agents.sub")}
        actions={
          <>
            {(tab === "agents" || tab === "alarms") && <SavedViews />}
            {admin && tab === "agents" && <EnrolButton />}
            {admin && tab === "packages" && <UploadButton />}
            {admin && tab === "rollouts" && <StartButton />}
            {admin && tab === "enrolments" && <EnrolButton />}
          </>
        }
      />
      <Tabs
        activeKey={tab}
        onChange={(key) => url.set({ tab: key === "agents" ? null : key, q: null, sort: null, cols: null, agent: null, view: null })}
        items={tabs.map((key) => ({ key, label: labels[key] }))}
      />
      {tab === "agents" && <AgentList />}
      {tab === "packages" && <Packages />}
      {tab === "rollouts" && <Rollouts />}
      {tab === "alarms" && <Alarms />}
      {tab === "enrolments" && <Enrolments />}
    </div>
  );
}
