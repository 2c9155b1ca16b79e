import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { RolloutView } from "@/api/types";
import { useMay } from "@/app/session";
import type { FilterField } from "@/lib/filter";
import { count } from "@/lib/format";
import { useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { RolloutBar, RolloutState } from "@/ui/RolloutBits";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { StartButton } from "./StartRollout";

const STATES = ["canary", "all", "paused", "done", "halted", "cancelled"];

/** Staged upgrades, newest first. */
export function Rollouts() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const url = useUrl();
  const admin = useMay("admin");
  const filter = url.get("q");
  const list = usePaged<RolloutView>(
    ["rollouts", "list", filter],
    (cursor) => data(client.GET("/api/v1/rollouts", { params: { query: { filter: filter || undefined, cursor, limit: 100 } } })),
    { refetchMs: 5_000 },
  );
  const fields: FilterField[] = [
    { name: "state", kind: "str", title: t("field.state") },
    { name: "created_by", kind: "str", title: t("task.by") },
  ];
  const values = (field: string) => Promise.resolve((field === "state" ? STATES : []).map((value) => ({ value, count: -1 })));
  const columns: Col<RolloutView>[] = [
    { id: "created_ms", title: t("field.created"), width: 104, render: (row) => <Age ms={row.created_ms} /> },
    { id: "version", title: t("field.version"), width: 110, render: (row) => <b><Text value={row.version} /></b> },
    { id: "state", title: t("field.state"), width: 150, render: (row) => <RolloutState state={row.state} /> },
    { id: "total", title: t("nav.agents"), width: 84, align: "right", render: (row) => count(row.total) },
    { id: "progress", title: t("rollout.progress"), width: 200, render: (row) => <RolloutBar states={row.states ?? {}} total={row.total} words={false} /> },
    {
      id: "bad",
      title: t("rollout.bad"),
      width: 120,
      align: "right",
      render: (row) => {
        const bad = (row.states?.failed ?? 0) + (row.states?.rolled_back ?? 0);
        return bad ? <b className="bad-text">{count(bad)}</b> : "0";
      },
    },
    { id: "filter", title: t("run.scope"), width: 220, render: (row) => (row.filter ? <Text mono value={row.filter} /> : t("rollout.allAgents")) },
    { id: "message", title: t("rollout.why"), width: 240, render: (row) => <span title={row.message}><Text value={row.message || "–"} /></span> },
    { id: "created_by", title: t("task.by"), width: 110, render: (row) => <Text value={row.created_by} /> },
  ];
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <>
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} values={values} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("rollout.example")} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<RolloutView>
          label={t("agents.tab.rollouts")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.id}
          onOpen={(row) => void navigate(`/rollouts/${row.id}`)}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={
            list.query.isPending ? null : (
              <Empty title={t(filter ? "rollout.noneFiltered" : "rollout.none")} action={!filter && admin && <StartButton />}>
                {!filter && t("rollout.noneText")}
              </Empty>
            )
          }
        />
      )}
    </>
  );
}
