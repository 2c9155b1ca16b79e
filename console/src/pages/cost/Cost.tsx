import { useQuery } from "@tanstack/react-query";
import { Button, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged, useSubclassTitles, useWorkload } from "@/api/queries";
import type { LedgerRow } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { capabilityTitle, rowsOf, totals } from "@/lib/cost";
import { quote, type FilterField } from "@/lib/filter";
import { bytes, count, percent } from "@/lib/format";
import { duration } from "@/lib/time";
import { link, useSince, useUrl } from "@/lib/url";
import { DataTable, type Col } from "@/ui/DataTable";
import { FilterBar } from "@/ui/FilterBar";
import { Kpi } from "@/ui/Kpi";
import { ListFoot } from "@/ui/ListFoot";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { SinceSelect } from "@/ui/SinceSelect";
import { Empty, Failed, NotAssessed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useMemoryOf } from "./memory";

const RANGE = "24h";

/** What protection costs: per capability and per machine. */
export default function Cost() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const navigate = useNavigate();
  const url = useUrl();
  const { value: range, ms: since } = useSince(RANGE);
  const machine = url.get("workload");
  const by = !machine && url.get("by") === "workload" ? "workload" : "capability";
  const own = url.get("q");
  const filter = machine ? `id = ${quote(machine, "str")}` : own;
  const sort = url.get("sort");
  const titles = useSubclassTitles(language);
  const list = usePaged<LedgerRow>(
    ["fleet-ledger", by, filter, since, sort],
    (cursor) =>
      data(client.GET("/api/v1/ledger", { params: { query: { by, since_ms: since, filter: filter || undefined, sort: sort || undefined, cursor, limit: 200 } } })),
    { refetchMs: 30_000 },
  );
  const memory = useMemoryOf(by === "workload" ? list.rows.map((row) => row.workload ?? "") : []);
  const top = Math.max(1e-9, ...list.rows.map((row) => row.cpu_s));
  const columns: Col<LedgerRow>[] = [
    {
      id: by,
      title: t(by === "workload" ? "field.hostname" : "budget.capability"),
      width: 280,
      sortable: by === "capability",
      render: (row) => (
        <>
          <b title={row.capability || row.workload}>{by === "workload" ? <Text value={row.hostname || row.workload || ""} /> : <Text value={capabilityTitle(row.capability ?? "", titles, t)} />}</b>
          <span className="cell-bar" style={{ width: `${(row.cpu_s / top) * 100}%` }} aria-hidden="true" />
        </>
      ),
    },
    ...(by === "capability" ? [{ id: "workloads", title: t("nav.workloads"), width: 100, align: "right" as const, sortable: true, render: (row: LedgerRow) => count(row.workloads) }] : []),
    { id: "cpu_s", title: t("budget.cpu"), width: 110, align: "right", sortable: true, render: (row) => duration(row.cpu_s) },
    {
      id: "cpu_pct",
      title: t("cost.share"),
      width: 150,
      align: "right",
      hint: t(by === "workload" ? "cost.shareHint" : "cost.shareMean"),
      render: (row) => (row.cpu_pct === null ? <NotAssessed why={t("cost.noWindow")} /> : percent(row.cpu_pct)),
    },
    ...(by === "workload"
      ? [
          {
            id: "memory",
            title: t("cost.memory"),
            width: 130,
            align: "right" as const,
            hint: t("cost.memoryHint"),
            render: (row: LedgerRow) => {
              const told = memory.get(row.workload ?? "");
              return told === undefined ? <NotAssessed why={t("cost.noMemory")} /> : bytes(told);
            },
          },
        ]
      : []),
    { id: "bytes_out", title: t("budget.bytes"), width: 110, align: "right", sortable: true, render: (row) => bytes(row.bytes_out) },
    { id: "rows", title: t("budget.rows"), width: 100, align: "right", sortable: true, render: (row) => count(row.rows) },
    { id: "runs", title: t("cost.runs"), width: 90, align: "right", sortable: true, render: (row) => count(row.runs) },
    { id: "shed", title: t("budget.shed"), width: 90, align: "right", sortable: true, render: (row) => (row.shed ? <b className="warn-text">{count(row.shed)}</b> : "0") },
  ];
  const fields: FilterField[] = (["hostname", "os", "arch", "site"] as const).map((name) => ({ name, kind: "str", title: t(`field.${name}`) }));
  const open = (row: LedgerRow) =>
    by === "workload" ? url.set({ workload: row.workload, by: null, sort: null }, true) : void navigate(rowsOf(row.capability ?? "", machine, range));
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.cost")}
        sub={t("cost.sub")}
        actions={
          <>
            <SavedViews />
            <SinceSelect standard={RANGE} />
          </>
        }
      />
      <Figures filter={filter} machine={machine} since={since} range={range} />
      <div className="toolbar">
        {machine ? (
          <Machine id={machine} onClear={() => url.set({ workload: null, by: "workload", sort: null })} />
        ) : (
          <>
            <Segmented
              value={by}
              aria-label={t("cost.by")}
              onChange={(value) => url.set({ by: value === "workload" ? "workload" : null, sort: null })}
              options={[
                { value: "capability", label: t("cost.byCapability") },
                { value: "workload", label: t("cost.byWorkload") },
              ]}
            />
            <FilterBar value={own} fields={fields} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("cost.example")} />
          </>
        )}
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<LedgerRow>
          label={t("nav.cost")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => `${row.capability ?? ""}/${row.workload ?? ""}`}
          sort={sort || "-cpu_s"}
          onSort={(next) => url.set({ sort: next || "-cpu_s" })}
          onOpen={open}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={
            list.query.isPending ? null : (
              <Empty unlit title={t("state.not_assessed")}>
                {t("cost.noneText")}
              </Empty>
            )
          }
        />
      )}
    </div>
  );
}

interface FiguresProps {
  filter: string;
  machine: string;
  since: number | undefined;
  range: string;
}

/** Sums over all capabilities: each machine's time is counted once. */
function Figures({ filter, machine, since, range }: FiguresProps) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: ["fleet-ledger", "sums", filter, since],
    queryFn: () => data(client.GET("/api/v1/ledger", { params: { query: { by: "capability", since_ms: since, filter: filter || undefined, limit: 1000 } } })),
    refetchInterval: 30_000,
  });
  const blind = useQuery({
    queryKey: ["blind", since, machine],
    queryFn: () => data(client.GET("/api/v1/events", { params: { query: { table: "blind_time", since_ms: since, workload: machine || undefined, limit: 1000 } } })),
    refetchInterval: 60_000,
  });
  const rows = query.data?.items ?? [];
  const sum = totals(rows);
  const told = rows.length > 0;
  const seen = blind.data?.items.length ?? 0;
  return (
    <section className="kpis kpis-5" aria-label={t("overview.kpis")}>
      <Kpi label={t("cost.share")} value={sum.pct === null ? null : percent(sum.pct)} note={t(machine ? "cost.shareHint" : "cost.shareMean")} why={t("cost.noWindow")} />
      <Kpi label={t("budget.cpu")} value={told ? duration(sum.cpuS) : null} note={t("cost.inRange")} />
      <Kpi label={t("budget.bytes")} value={told ? bytes(sum.bytes) : null} note={t("cost.sentNote")} />
      <Kpi label={t("budget.shed")} value={told ? count(sum.shed) : null} note={t("cost.shedNote")} />
      {/* A filter of machines is not one of events: no figure is better than one of other machines. */}
      <Kpi
        label={t("event.blind_time")}
        value={blind.data && (machine || !filter) && told ? `${blind.data.next ? "≥ " : ""}${count(seen)}` : null}
        note={t("cost.blindNote")}
        why={t(filter && !machine ? "cost.blindFiltered" : "cost.noWindow")}
        to={link("/events", { table: "blind_time", since: range, workload: machine })}
      />
    </section>
  );
}

function Machine({ id, onClear }: { id: string; onClear(): void }) {
  const { t } = useTranslation();
  const query = useWorkload(id);
  const name = query.data?.workload.hostname ?? id;
  return (
    <>
      <Link to={`/workloads/${id}`}>
        <b>
          <Text value={name} />
        </b>
      </Link>
      <Button size="small" onClick={onClear}>
        {t("cost.allMachines")}
      </Button>
    </>
  );
}
