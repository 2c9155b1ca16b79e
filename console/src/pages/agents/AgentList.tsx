import { useQueryClient } from "@tanstack/react-query";
import { App, Button, Popconfirm } from "antd";
import { useTranslation } from "react-i18next";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { AgentView } from "@/api/types";
import { useMay } from "@/app/session";
import { chosen } from "@/lib/columns";
import type { FilterField } from "@/lib/filter";
import { bytes, count } from "@/lib/format";
import { useUrl } from "@/lib/url";
import { Age, Until } from "@/ui/Age";
import { AgentState, SlotState, TierTag } from "@/ui/AgentBits";
import { ColumnChooser } from "@/ui/ColumnChooser";
import { DataTable, type Col } from "@/ui/DataTable";
import { EnrolButton } from "@/ui/Enrol";
import { ExportButton } from "@/ui/ExportButton";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { AgentDrawer } from "./AgentDrawer";

const KNOWN: Record<string, readonly string[]> = {
  state: ["online", "late", "offline", "revoked", "cloned"],
  tier: ["A", "B", "C", "D", "none"],
  package_state: ["none", "current", "fetching", "trial", "rolled_back", "failed"],
};
const FIELDS = ["state", "hostname", "version", "tier", "site", "arch", "package_state"] as const;

export function agentFields(t: ReturnType<typeof useTranslation>["t"]): FilterField[] {
  return [
    ...FIELDS.map((name) => ({ name, kind: "str" as const, title: t(`field.${name}`) })),
    { name: "alarms", kind: "int" as const, title: t("alarm.title") },
  ];
}

export function AgentList() {
  const { t } = useTranslation();
  const url = useUrl();
  const admin = useMay("admin");
  const filter = url.get("q");
  const sort = url.get("sort");
  const list = usePaged<AgentView>(
    ["agents", filter, sort],
    (cursor) => data(client.GET("/api/v1/agents", { params: { query: { filter: filter || undefined, sort: sort || undefined, cursor, limit: 100 } } })),
    { refetchMs: 5_000 },
  );
  const values = (field: string) => {
    const known = KNOWN[field] ?? [...new Set(list.rows.map((row) => String(row[field as "version"] ?? "")))];
    return Promise.resolve(known.filter(Boolean).map((value) => ({ value, count: -1 })));
  };
  const every: Col<AgentView>[] = [
    { id: "state", title: t("field.state"), width: 96, sortable: true, render: (row) => <AgentState state={row.state} /> },
    { id: "hostname", title: t("field.hostname"), width: 150, sortable: true, render: (row) => <b><Text value={row.hostname} /></b> },
    { id: "alarms", title: t("alarm.title"), width: 72, align: "right", sortable: true, render: (row) => (row.alarms ? <b className="bad-text">{count(row.alarms)}</b> : "0") },
    { id: "last_beat_ms", title: t("agents.lastBeat"), width: 100, sortable: true, render: (row) => <Age ms={row.last_beat_ms} /> },
    { id: "tier", title: t("field.tier"), width: 110, sortable: true, render: (row) => <TierTag tier={row.sensor?.tier} /> },
    {
      id: "lost",
      title: t("workload.eventsLost"),
      width: 96,
      align: "right",
      sortable: true,
      render: (row) => (row.sensor ? <span className={row.sensor.lost ? "bad-text" : undefined}>{count(row.sensor.lost)}</span> : "–"),
    },
    { id: "version", title: t("field.version"), width: 90, sortable: true, render: (row) => <Text value={row.version} /> },
    { id: "package_state", title: t("field.package_state"), width: 110, sortable: true, render: (row) => <SlotState agent={row} /> },
    {
      id: "memory",
      title: t("agents.memory"),
      width: 88,
      align: "right",
      render: (row) => (row.resources ? bytes(row.resources.private_bytes) : "–"),
    },
    {
      id: "desired",
      title: t("agents.desired"),
      width: 120,
      render: (row) =>
        row.acknowledged_version >= row.desired_version ? (
          t("agents.current")
        ) : (
          <span className="warn-text">{t("agents.behind", { have: row.acknowledged_version, want: row.desired_version })}</span>
        ),
    },
    { id: "certificate", title: t("agents.certificate"), width: 96, render: (row) => (row.certificate_expires_ms ? <Until ms={row.certificate_expires_ms} /> : "–") },
    { id: "enrolled_ms", title: t("agents.enrolled"), width: 100, sortable: true, render: (row) => <Age ms={row.enrolled_ms} /> },
    { id: "site", title: t("field.site"), width: 84, sortable: true, render: (row) => <Text value={row.site || "–"} /> },
  ];
  const columns = chosen(every, url.get("cols"));
  const act: Col<AgentView>[] = admin ? [{ id: "act", title: t("field.actions"), width: 92, render: (row) => (row.state === "revoked" ? null : <Revoke agent={row} />) }] : [];
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <>
      <div className="toolbar">
        <FilterBar value={filter} fields={agentFields(t)} values={values} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("agents.example")} />
        <ColumnChooser columns={every} value={columns.map((column) => column.id)} onChange={(cols) => url.set({ cols })} />
        <ExportButton path="/api/v1/agents/export" title={t("nav.agents")} params={{ filter, sort }} columns={columns.map((column) => column.id)} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<AgentView>
          label={t("nav.agents")}
          columns={[...columns, ...act]}
          rows={list.rows}
          rowKey={(row) => row.id}
          sort={sort}
          onSort={(next) => url.set({ sort: next })}
          onOpen={(row) => url.set({ agent: row.id }, true)}
          openKey={url.get("agent")}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={
            list.query.isPending ? null : (
              <Empty title={t(filter ? "agents.noneFiltered" : "overview.noAgents")} action={!filter && admin && <EnrolButton />}>
                {!filter && t("overview.noAgentsMend")}
              </Empty>
            )
          }
        />
      )}
      <AgentDrawer id={url.get("agent")} onClose={() => url.set({ agent: null })} />
    </>
  );
}

function Revoke({ agent }: { agent: AgentView }) {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const cache = useQueryClient();
  const revoke = async () => {
    try {
      await client.POST("/api/v1/agents/{agent_id}/revoke", { params: { path: { agent_id: agent.id } } });
      await cache.invalidateQueries({ queryKey: ["agents"] });
    } catch (error) {
      notification.error({ title: t("agents.notRevoked"), description: error instanceof Error ? error.message : String(error) });
    }
  };
  return (
    <span onClick={(event) => event.stopPropagation()} role="presentation">
      <Popconfirm
        title={t("agents.revokeAsk")}
        description={<div className="confirm-text">{t("agents.revokeText")}</div>}
        okText={t("agents.revoke")}
        cancelText={t("action.cancel")}
        okButtonProps={{ danger: true }}
        onConfirm={() => void revoke()}
      >
        <Button size="small" danger>
          {t("agents.revoke")}
        </Button>
      </Popconfirm>
    </span>
  );
}
