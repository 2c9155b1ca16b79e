import { Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { WorkloadView } from "@/api/types";
import { useMay } from "@/app/session";
import { usePrefs } from "@/app/prefs";
import type { FilterField } from "@/lib/filter";
import { chosen } from "@/lib/columns";
import { bytes, count } from "@/lib/format";
import { useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { AgentState, currentAgent, TierTag } from "@/ui/AgentBits";
import { DataTable, type Col } from "@/ui/DataTable";
import { EnrolButton } from "@/ui/Enrol";
import { ColumnChooser } from "@/ui/ColumnChooser";
import { ExportButton } from "@/ui/ExportButton";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { onlyThese, useOrder } from "@/ui/useOrder";
import { titleOf } from "@/ui/Value";

export default function Workloads() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const navigate = useNavigate();
  const admin = useMay("admin");
  const analyst = useMay("analyst");
  const order = useOrder();
  const url = useUrl();
  const filter = url.get("q");
  const sort = url.get("sort");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const list = usePaged<WorkloadView>(
    ["workloads", filter, sort],
    (cursor) =>
      data(client.GET("/api/v1/workloads", { params: { query: { filter: filter || undefined, sort: sort || undefined, cursor, limit: 100 } } })),
    { refetchMs: 10_000 },
  );
  const fields: FilterField[] = [
    ...(["hostname", "os", "kernel", "arch", "kind", "site"] as const).map((name) => ({ name, kind: "str" as const, title: t(`field.${name}`) })),
    { name: "role", kind: "list", title: t("workload.roles") },
    { name: "addresses", kind: "list", title: t("field.addresses") },
  ];
  const every: Col<WorkloadView>[] = [
    { id: "hostname", title: t("field.hostname"), width: 150, sortable: true, render: (row) => <b><Text value={row.hostname} /></b> },
    { id: "agent", title: t("field.agent"), width: 110, render: (row) => { const agent = currentAgent(row.agents ?? []); return agent ? <AgentState state={agent.state} /> : "–"; } },
    { id: "tier", title: t("field.tier"), width: 110, render: (row) => <TierTag tier={currentAgent(row.agents ?? [])?.sensor?.tier} /> },
    { id: "os", title: t("field.os"), width: 136, render: (row) => <Text value={`${row.facts.os} ${row.facts.os_version}`.trim() || "–"} /> },
    { id: "kernel", title: t("field.kernel"), width: 140, render: (row) => <Text value={row.facts.kernel || "–"} /> },
    { id: "kind", title: t("field.machine"), width: 120, render: (row) => t(`machine.${row.facts.kind}`) },
    {
      id: "roles",
      title: t("workload.roles"),
      width: 190,
      render: (row) => (
        <span className="chips">
          {(row.roles ?? []).map((role) => (
            <span key={role.role} className="chip">
              {titleOf(role.title, language)}
            </span>
          ))}
        </span>
      ),
    },
    { id: "addresses", title: t("field.addresses"), width: 170, render: (row) => <Text mono value={row.facts.addresses.join(" ")} /> },
    { id: "memory", title: t("field.resources"), width: 130, render: (row) => t("workload.size", { cpus: row.facts.cpus, memory: bytes(row.facts.memory_bytes) }) },
    { id: "last_seen_ms", title: t("field.last_seen_ms"), width: 120, sortable: true, render: (row) => <Age ms={row.last_seen_ms} /> },
  ];
  const columns = chosen(every, url.get("cols"));
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.workloads")}
        sub={t("workload.sub")}
        actions={
          <>
            <SavedViews />
            {admin && <EnrolButton />}
          </>
        }
      />
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} onApply={(q) => (setSelected(new Set()), url.set({ q }))} refused={refused?.message} placeholder={t("workload.example")} />
        {analyst && (
          <Button disabled={!list.rows.length} onClick={() => (selected.size ? order.ask(onlyThese([...selected]), t("list.selected", { count: selected.size })) : order.ask(filter))}>
            {selected.size ? t("run.collectSelected", { count: selected.size, shown: count(selected.size) }) : t(filter ? "run.collectFiltered" : "run.collectAll")}
          </Button>
        )}
        <ColumnChooser columns={every} value={columns.map((column) => column.id)} onChange={(cols) => url.set({ cols })} />
        <ExportButton path="/api/v1/workloads/export" title={t("nav.workloads")} params={{ filter, sort }} columns={columns.map((column) => column.id)} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<WorkloadView>
          label={t("nav.workloads")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.id}
          selected={analyst ? selected : undefined}
          onSelect={analyst ? setSelected : undefined}
          sort={sort}
          onSort={(next) => url.set({ sort: next })}
          onOpen={(row) => void navigate(`/workloads/${row.id}`)}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={
            list.query.isPending ? null : (
              <Empty title={t(filter ? "workload.noneFiltered" : "workload.none")} action={!filter && admin && <EnrolButton />}>
                {!filter && t("workload.noneText")}
              </Empty>
            )
          }
        />
      )}
    </div>
  );
}
