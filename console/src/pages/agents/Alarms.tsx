import { Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { AlarmView } from "@/api/types";
import { ALARM_KINDS, ALARMS_OPEN } from "@/lib/alarms";
import type { FilterField } from "@/lib/filter";
import { duration, stamp } from "@/lib/time";
import { useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { Acknowledge, AlarmKind } from "@/ui/AlarmItems";
import { DataTable, type Col } from "@/ui/DataTable";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";

/** Agents that fell silent, were killed or tampered with. */
export function Alarms() {
  const { t } = useTranslation();
  const url = useUrl();
  const filter = url.get("q");
  const sort = url.get("sort");
  const list = usePaged<AlarmView>(
    ["alarms", "list", filter, sort],
    (cursor) => data(client.GET("/api/v1/alarms", { params: { query: { filter: filter || undefined, sort: sort || undefined, cursor, limit: 100 } } })),
    { refetchMs: 10_000 },
  );
  const fields: FilterField[] = [
    { name: "kind", kind: "str", title: t("field.kind") },
    { name: "hostname", kind: "str", title: t("field.hostname") },
    { name: "what", kind: "str", title: t("alarm.what") },
    { name: "detail", kind: "str", title: t("audit.detail") },
    { name: "open", kind: "bool", title: t("alarm.isOpen") },
    { name: "acknowledged_by", kind: "str", title: t("alarm.acknowledged") },
  ];
  const values = (field: string) => Promise.resolve(field === "kind" ? ALARM_KINDS.map((value) => ({ value, count: -1 })) : []);
  const columns: Col<AlarmView>[] = [
    { id: "kind", title: t("field.kind"), width: 150, sortable: true, render: (row) => <AlarmKind kind={row.kind} /> },
    { id: "hostname", title: t("field.hostname"), width: 150, sortable: true, render: (row) => <Link to={`/workloads/${row.workload}`}><Text value={row.hostname || row.workload} /></Link> },
    { id: "what", title: t("alarm.what"), width: 240, sortable: true, render: (row) => <span title={row.what}><Text mono value={row.what || "–"} /></span> },
    { id: "detail", title: t("audit.detail"), width: 260, render: (row) => <span title={row.detail}><Text value={row.detail || "–"} /></span> },
    { id: "since_ms", title: t("alarm.since"), width: 150, sortable: true, render: (row) => stamp(row.since_ms) },
    {
      id: "until_ms",
      title: t("alarm.until"),
      width: 120,
      sortable: true,
      render: (row) => (row.until_ms == null ? <b className="bad-text">{t("alarm.isOpen")}</b> : <span title={stamp(row.until_ms)}>{t("alarm.lasted", { time: duration((row.until_ms - row.since_ms) / 1000) })}</span>),
    },
    {
      id: "acknowledged_ms",
      title: t("alarm.acknowledged"),
      width: 170,
      sortable: true,
      render: (row) =>
        row.acknowledged_by ? (
          <>
            <Text value={row.acknowledged_by} /> <Age ms={row.acknowledged_ms} />
          </>
        ) : (
          <Acknowledge alarm={row} />
        ),
    },
  ];
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  const scope = filter === ALARMS_OPEN ? "open" : filter ? "" : "all";
  return (
    <>
      <div className="toolbar">
        <Segmented
          value={scope}
          aria-label={t("alarm.title")}
          onChange={(value) => url.set({ q: value === "open" ? ALARMS_OPEN : null })}
          options={[
            { value: "all", label: t("alarm.all") },
            { value: "open", label: t("alarm.needed") },
          ]}
        />
        <FilterBar value={filter} fields={fields} values={values} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("alarm.example")} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<AlarmView>
          label={t("alarm.title")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.id}
          sort={sort}
          onSort={(next) => url.set({ sort: next })}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={list.query.isPending ? null : <Empty title={t(filter ? "alarm.noneFiltered" : "alarm.none")}>{t("alarm.noneText")}</Empty>}
        />
      )}
    </>
  );
}
