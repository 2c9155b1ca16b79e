import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import type { AgentView, LedgerEntry, WorkloadDetail } from "@/api/types";
import { useSubclassTitles } from "@/api/queries";
import { usePrefs } from "@/app/prefs";
import { capabilityTitle } from "@/lib/cost";
import { byCapability, series, shares } from "@/lib/budget";
import { bytes, count, percent } from "@/lib/format";
import { clock, duration, serverNow } from "@/lib/time";
import { Meter } from "@/ui/Bars";
import { Panel } from "@/ui/Panel";
import { Empty, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";

const HOUR = 3_600_000;

interface Props {
  detail: WorkloadDetail;
  agent: AgentView | undefined;
  asOf: number;
}

/** What the workload granted and what each capability spent of it. */
export function BudgetPanel({ detail, agent, asOf }: Props) {
  const { t } = useTranslation();
  const id = detail.workload.id;
  const query = useQuery({
    queryKey: ["ledger", id],
    queryFn: () =>
      data(
        client.GET("/api/v1/workloads/{workload_id}/ledger", {
          params: { path: { workload_id: id }, query: { since_ms: Math.floor(serverNow() - HOUR) } },
        }),
      ),
    refetchInterval: 30_000,
  });
  return (
    <Panel title={t("budget.title")} asOf={query.dataUpdatedAt || asOf}>
      <Loaded query={query}>{(entries) => <Body entries={entries} detail={detail} agent={agent} />}</Loaded>
    </Panel>
  );
}

function Body({ entries, detail, agent }: { entries: LedgerEntry[]; detail: WorkloadDetail; agent: AgentView | undefined }) {
  const { t } = useTranslation();
  const { budget } = detail;
  const spent = shares(entries, detail.workload.facts.cpus, serverNow());
  const text = (pct: number | null, grant: number) => (pct === null ? t("budget.notMeasured") : t("budget.of", { spent: percent(pct), grant: percent(grant) }));
  const resources = agent?.resources;
  return (
    <>
      <Meter
        label={t("budget.background")}
        share={spent.backgroundPct === null ? null : spent.backgroundPct / budget.background_pct}
        text={text(spent.backgroundPct, budget.background_pct)}
      />
      <Meter label={t("budget.event")} share={spent.eventPct === null ? null : spent.eventPct / budget.event_pct} text={text(spent.eventPct, budget.event_pct)} />
      <Meter
        label={t("budget.spool")}
        share={resources ? resources.spool_bytes / budget.spool_bytes : null}
        text={resources ? t("budget.of", { spent: bytes(resources.spool_bytes), grant: bytes(budget.spool_bytes) }) : t("budget.notMeasured")}
      />
      {resources && (
        <p className="muted">
          {t("budget.memory", { private: bytes(resources.private_bytes), resident: bytes(resources.resident_bytes) })}
          {resources.spool_dropped > 0 && <b className="bad-text"> {t("budget.dropped", { n: count(resources.spool_dropped) })}</b>}
        </p>
      )}
      {entries.length ? (
        <>
          <Spark entries={entries} />
          <Table entries={entries} />
        </>
      ) : (
        <Empty unlit title={t("budget.notMeasured")}>
          {t("budget.notMeasuredText")}
        </Empty>
      )}
    </>
  );
}

/** CPU-seconds a minute over the last hour. */
function Spark({ entries }: { entries: LedgerEntry[] }) {
  const { t } = useTranslation();
  const points = series(entries);
  const top = Math.max(0.001, ...points.map((point) => point.background + point.event));
  return (
    <div className="spark" role="img" aria-label={t("budget.spark", { top: duration(top) })}>
      {points.map((point) => (
        <span key={point.startMs} title={`${clock(point.startMs)} · ${duration(point.background + point.event)}`}>
          <i className="tone-info2" style={{ height: `${(point.event / top) * 100}%` }} />
          <i className="tone-info" style={{ height: `${(point.background / top) * 100}%` }} />
        </span>
      ))}
    </div>
  );
}

function Table({ entries }: { entries: LedgerEntry[] }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const titles = useSubclassTitles(language);
  const rows = byCapability(entries);
  const top = Math.max(0.000001, ...rows.map((row) => row.cpuS));
  return (
    <table className="small-table">
      <thead>
        <tr>
          <th scope="col">{t("budget.capability")}</th>
          <th scope="col" className="num">
            {t("budget.cpu")}
          </th>
          <th scope="col" className="num">
            {t("budget.bytes")}
          </th>
          <th scope="col" className="num">
            {t("budget.rows")}
          </th>
          <th scope="col" className="num">
            {t("budget.shed")}
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.capability}>
            <td>
              <span title={row.capability}>
                <Text value={capabilityTitle(row.capability, titles, t)} />
              </span>
              <span className="cell-bar" style={{ width: `${(row.cpuS / top) * 100}%` }} aria-hidden="true" />
            </td>
            <td className="num">{duration(row.cpuS)}</td>
            <td className="num">{bytes(row.bytes)}</td>
            <td className="num">{count(row.rows)}</td>
            <td className="num">{row.shed ? <b className="warn-text">{count(row.shed)}</b> : "0"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
