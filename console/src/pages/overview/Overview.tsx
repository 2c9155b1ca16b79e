import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useOverview } from "@/api/queries";
import type { Overview as Data } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { count, sum } from "@/lib/format";
import { link } from "@/lib/url";
import { Age } from "@/ui/Age";
import { AlarmItems } from "@/ui/AlarmItems";
import { ClassTiles } from "@/ui/ClassTiles";
import { Kpi } from "@/ui/Kpi";
import { PageHead } from "@/ui/PageHead";
import { Panel } from "@/ui/Panel";
import { Empty, Loaded } from "@/ui/States";
import { AgentHealth, BlindTime, Roles, Tiers } from "./widgets";
import { FirstRun } from "./FirstRun";

export default function Overview() {
  const { t } = useTranslation();
  const query = useOverview();
  return (
    <div className="page">
      <PageHead
        title={t("nav.overview")}
        sub={query.dataUpdatedAt > 0 && <Age ms={query.dataUpdatedAt} prefix={t("age.asOf")} />}
      />
      <Loaded query={query} rows={8}>
        {(data) => <Board data={data} asOf={query.dataUpdatedAt} />}
      </Loaded>
    </div>
  );
}

function Board({ data, asOf }: { data: Data; asOf: number }) {
  const { t } = useTranslation();
  const { language, firstStepsHidden } = usePrefs();
  const counted = data.assets.filter((one) => one.rows != null);
  const rows = counted.reduce((total, one) => total + (one.rows ?? 0), 0);
  return (
    <>
      {data.workloads <= 1 && !firstStepsHidden && <FirstRun data={data} />}
      <section className="kpis" aria-label={t("overview.kpis")}>
        <Kpi label={t("kpi.workloads")} value={count(data.workloads)} to="/workloads" />
        <Kpi label={t("kpi.assets")} value={counted.length ? count(rows) : null} to="/inventory" note={t("kpi.assetsNote", { count: assessed(data) })} />
        <Kpi label={t("kpi.changes")} value={data.changes_24h && count(sum(data.changes_24h))} to={link("/changes", { since: "24h" })} note={changeNote(data, t)} />
        <Kpi label={t("kpi.events")} value={data.events_24h && count(sum(data.events_24h))} to={link("/events", { since: "24h" })} />
        <Kpi label={t("kpi.risks")} value={data.risks == null ? null : count(data.risks)} why={t("kpi.risksWhy")} />
        <Kpi label={t("kpi.incidents")} value={data.incidents == null ? null : count(data.incidents)} why={t("kpi.incidentsWhy")} />
      </section>
      <Panel title={t("overview.assets")} asOf={asOf} extra={<Link to="/inventory">{t("overview.allAssets")}</Link>}>
        <ClassTiles classes={data.assets} language={language} />
      </Panel>
      <div className="columns-3">
        <Panel title={t("overview.agents")} asOf={asOf} extra={<Link to="/agents">{t("nav.agents")}</Link>}>
          <AgentHealth agents={data.agents} />
        </Panel>
        <Panel title={t("overview.tiers")} asOf={asOf}>
          <Tiers tiers={data.tiers} />
        </Panel>
        <Panel title={t("overview.events")} asOf={asOf} extra={<Link to="/events">{t("nav.events")}</Link>}>
          {data.events_24h ? <EventCounts counts={data.events_24h} /> : <Empty unlit title={t("overview.noEvents")}>{t("overview.noEventsWhy")}</Empty>}
        </Panel>
      </div>
      <div className="columns-2">
        <Panel title={t("overview.blind")} asOf={asOf}>
          <BlindTime rows={data.blind} watched={data.events_24h !== null} />
        </Panel>
        <Panel title={t("alarm.overview")} asOf={asOf} extra={<Link to="/agents?tab=alarms">{t("tray.all")}</Link>}>
          <AlarmItems filter="open = true" none={t(data.workloads ? "alarm.noneOpen" : "overview.noAgents")} />
        </Panel>
      </div>
      <Panel title={t("overview.roles")} asOf={asOf} extra={<Link to="/workloads">{t("nav.workloads")}</Link>}>
        <Roles roles={data.roles} looked={counted.length > 0} />
      </Panel>
    </>
  );
}

function assessed(data: Data): number {
  return data.assets.flatMap((one) => one.subclasses ?? []).filter((sub) => sub.rows != null).length;
}

function changeNote(data: Data, t: TFunction): string | undefined {
  const changes = data.changes_24h;
  if (!changes) return undefined;
  return t("kpi.changesNote", {
    added: count(changes.added ?? 0),
    changed: count(changes.changed ?? 0),
    removed: count(changes.removed ?? 0),
  });
}

function EventCounts({ counts }: { counts: Record<string, number> }) {
  const { t } = useTranslation();
  const top = Math.max(1, ...Object.values(counts));
  return (
    <ul className="ranked">
      {Object.entries(counts).map(([table, value]) => (
        <li key={table}>
          <Link to={link("/events", { table, since: "24h" })}>{t(`event.${table}`)}</Link>
          <span className="ranked-bar" aria-hidden="true">
            <span style={{ width: `${(value / top) * 100}%` }} />
          </span>
          <b>{count(value)}</b>
        </li>
      ))}
    </ul>
  );
}
