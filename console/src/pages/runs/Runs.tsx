import { useTranslation } from "react-i18next";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { RunView } from "@/api/types";
import { useMay } from "@/app/session";
import { chosen } from "@/lib/columns";
import type { FilterField } from "@/lib/filter";
import { count } from "@/lib/format";
import { progress } from "@/lib/runs";
import { stamp } from "@/lib/time";
import { useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { ColumnChooser } from "@/ui/ColumnChooser";
import { DataTable, type Col } from "@/ui/DataTable";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { PageHead } from "@/ui/PageHead";
import { RunBar, RunState } from "@/ui/RunBits";
import { SavedViews } from "@/ui/SavedViews";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useOrder } from "@/ui/useOrder";
import { Button } from "antd";

const STATES = ["running", "done", "cancelled"];

/** Orders to many machines, newest first. */
export default function Runs() {
  const { t } = useTranslation();
  const url = useUrl();
  const analyst = useMay("analyst");
  const order = useOrder();
  const filter = url.get("q");
  const list = usePaged<RunView>(
    ["runs", "list", filter],
    (cursor) => data(client.GET("/api/v1/runs", { params: { query: { filter: filter || undefined, cursor, limit: 100 } } })),
    { refetchMs: 10_000 },
  );
  const fields: FilterField[] = [
    { name: "state", kind: "str", title: t("task.state") },
    { name: "created_by", kind: "str", title: t("task.by") },
    { name: "total", kind: "int", title: t("run.machines") },
  ];
  const values = (field: string) =>
    Promise.resolve((field === "state" ? STATES : field === "created_by" ? [...new Set(list.rows.map((row) => row.created_by))] : []).map((value) => ({ value, count: -1 })));
  const every: Col<RunView>[] = [
    { id: "created_ms", title: t("field.created"), width: 150, render: (row) => stamp(row.created_ms) },
    { id: "kind", title: t("run.order"), width: 96, render: (row) => t(`task.kind.${row.kind}`, { defaultValue: row.kind }) },
    { id: "state", title: t("task.state"), width: 96, render: (row) => <RunState state={row.state} /> },
    { id: "filter", title: t("run.scope"), width: 260, render: (row) => (row.filter ? <Text mono value={row.filter} /> : t("list.allWorkloads")) },
    { id: "total", title: t("run.machines"), width: 92, align: "right", render: (row) => count(row.total) },
    { id: "progress", title: t("run.progress"), width: 180, render: (row) => <RunBar run={row} words={false} /> },
    {
      id: "bad",
      title: t("run.bad"),
      width: 110,
      align: "right",
      render: (row) => {
        const { bad } = progress(row);
        return bad ? <b className="bad-text">{count(bad)}</b> : "0";
      },
    },
    { id: "created_by", title: t("task.by"), width: 120, render: (row) => <Text value={row.created_by} /> },
    { id: "ended_ms", title: t("task.ended"), width: 110, render: (row) => (row.ended_ms == null ? "–" : <Age ms={row.ended_ms} />) },
  ];
  const columns = chosen(every, url.get("cols"));
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <div className="page page-fill">
      <PageHead
        title={t("nav.runs")}
        sub={t("run.sub")}
        actions={
          <>
            <SavedViews />
            {analyst && (
              <Button type="primary" onClick={() => order.ask("")}>
                {t("run.collectAll")}
              </Button>
            )}
          </>
        }
      />
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} values={values} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("run.example")} />
        <ColumnChooser columns={every} value={columns.map((column) => column.id)} onChange={(cols) => url.set({ cols })} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<RunView>
          label={t("nav.runs")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.id}
          onOpen={(row) => url.set({ run: row.id, task: null }, true)}
          openKey={url.get("run")}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={list.query.isPending ? null : <Empty title={t(filter ? "run.noneFiltered" : "run.none")}>{!filter && t("run.noneText")}</Empty>}
        />
      )}
    </div>
  );
}
