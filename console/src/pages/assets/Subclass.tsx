import { useCallback, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged, useSubclass, useTaxonomy } from "@/api/queries";
import type { AssetRow, Column, SubclassState } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { also, quote, type FilterField } from "@/lib/filter";
import type { Facet } from "@/lib/suggest";
import { chosen } from "@/lib/columns";
import { useSince, useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { ColumnChooser } from "@/ui/ColumnChooser";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { PageHead } from "@/ui/PageHead";
import { SavedViews } from "@/ui/SavedViews";
import { SinceSelect } from "@/ui/SinceSelect";
import { Failed, Loaded, StateTag } from "@/ui/States";
import { Text } from "@/ui/Text";
import { fieldColumns, titleOf } from "@/ui/Value";
import { WorkloadSelect } from "@/ui/WorkloadSelect";
import { AssetDrawer } from "./AssetDrawer";
import { NothingHere } from "./NothingHere";
import { Problems } from "./Problems";
import { ExportButton } from "@/ui/ExportButton";
import { FacetPanel } from "./FacetPanel";
import { Checkbox } from "antd";

export default function Subclass() {
  const id = useParams().subclass ?? "";
  const { t } = useTranslation();
  const taxonomy = useTaxonomy();
  const { entry } = useSubclass(id);
  if (taxonomy.data && !entry) {
    return (
      <div className="page">
        <Failed error={new ApiError(404, "not_found", t("assets.noSubclass", { id }))} />
      </div>
    );
  }
  return entry ? (
    <Rows key={id} entry={entry} />
  ) : (
    <div className="page">
      <Loaded query={{ ...taxonomy, data: undefined }}>{() => null}</Loaded>
    </div>
  );
}

/** Columns that every asset has besides its own. */
const COMMON: FilterField[] = [
  { name: "hostname", kind: "str", title: "" },
  { name: "label", kind: "str", title: "" },
  { name: "first_seen_ms", kind: "int", title: "" },
  { name: "last_seen_ms", kind: "int", title: "" },
  { name: "changed_ms", kind: "int", title: "" },
];

function Rows({ entry }: { entry: SubclassState }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const navigate = useNavigate();
  const url = useUrl();
  const columns = useMemo(() => entry.columns ?? [], [entry.columns]);
  const filter = url.get("q");
  const sort = url.get("sort");
  const workload = url.get("workload");
  const gone = url.get("gone") === "1";
  const since = useSince().ms;
  const scope = useMemo(
    () => ({
      filter: filter || undefined,
      workload: workload || undefined,
      gone: gone || undefined,
      changed_since: since,
    }),
    [filter, workload, gone, since],
  );
  const list = usePaged<AssetRow>(
    ["assets", entry.id, scope, sort],
    (cursor) =>
      data(
        client.GET("/api/v1/assets/{subclass}", {
          params: { path: { subclass: entry.id }, query: { ...scope, sort: sort || undefined, cursor, limit: 200 } },
        }),
      ),
    { refetchMs: 30_000 },
  );
  const facets = useCallback(
    async (field: string): Promise<Facet[]> => {
      const answer = await data(
        client.GET("/api/v1/assets/{subclass}/facets", {
          params: { path: { subclass: entry.id }, query: { ...scope, field } },
        }),
      );
      return answer.values.flatMap(({ value, count }) => (value === null ? [] : [{ value, count }]));
    },
    [entry.id, scope],
  );
  const fields = useMemo(() => filterFields(columns, language, t), [columns, language, t]);
  const cols = url.get("cols");
  const every = useMemo(() => tableColumns(columns, language, t), [columns, language, t]);
  const narrow = useMemo(() => every.filter((column) => !columns.some((one) => one.wide && one.name === column.id)), [every, columns]);
  const table = cols ? chosen(every, cols) : narrow;
  const add = (field: string, value: Facet["value"]) => {
    const kind = fields.find((one) => one.name === field)?.kind ?? "str";
    url.set({ q: also(filter, `${field} = ${quote(value, kind)}`) });
  };
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  const title = titleOf(entry.title, language);

  return (
    <div className="page page-fill">
      <PageHead
        title={title}
        crumbs={[{ to: "/inventory", label: t("nav.assets") }]}
        sub={
          <>
            <StateTag state={entry.state} />
            {entry.rows != null && (
              <>
                {" "}
                {t("assets.onWorkloads", { count: entry.workloads })} · {t("assets.oldest")} <Age ms={entry.oldest_ms} />
              </>
            )}
          </>
        }
        actions={
          <>
            <SavedViews />
            <WorkloadSelect value={workload} onChange={(id) => url.set({ workload: id })} />
            <ExportButton
              path={`/api/v1/assets/${encodeURIComponent(entry.id)}/export`}
              title={title}
              params={{ ...scope, sort }}
              columns={table.map((column) => column.id)}
            />
          </>
        }
      />
      <Problems entry={entry} workload={workload} />
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} values={facets} refused={refused?.message} onApply={(q) => url.set({ q })} />
        <Checkbox checked={gone} onChange={(event) => url.set({ gone: event.target.checked ? "1" : null })}>
          {t("assets.gone")}
        </Checkbox>
        <FacetPanel columns={columns} load={facets} onPick={add} />
        <SinceSelect label={t("since.changed")} />
        <ColumnChooser columns={every} value={table.map((column) => column.id)} onChange={(next) => url.set({ cols: next })} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<AssetRow>
          label={title}
          columns={table}
          rows={list.rows}
          rowKey={(row) => row.id}
          sort={sort}
          onSort={(next) => url.set({ sort: next })}
          onOpen={(row) => url.set({ asset: row.id }, true)}
          openKey={url.get("asset")}
          onEnd={list.loadMore}
          footer={entry.rows == null && !list.rows.length ? null : <ListFoot list={list} />}
          empty={
            list.query.isPending ? null : <NothingHere entry={entry} filtered={Boolean(filter || workload || since)} onClear={() => url.set({ q: null, workload: null, since: null })} />
          }
        />
      )}
      <AssetDrawer
        id={url.get("asset")}
        onClose={() => url.set({ asset: null })}
        onGo={(row) => (row.subclass === entry.id ? url.set({ asset: row.id }, true) : void navigate(`/inventory/${row.subclass}?asset=${row.id}`))}
      />
    </div>
  );
}

type Translate = ReturnType<typeof useTranslation>["t"];

function filterFields(columns: readonly Column[], language: "en" | "zh", t: Translate): FilterField[] {
  const own = columns.map((column) => ({ name: column.name, kind: column.kind, title: titleOf(column.title, language) }));
  const common = COMMON.filter((field) => !own.some((one) => one.name === field.name));
  return [...own, ...common.map((field) => ({ ...field, title: t(`field.${field.name}`) }))];
}

function tableColumns(columns: readonly Column[], language: "en" | "zh", t: Translate): Col<AssetRow>[] {
  return [
    ...fieldColumns<AssetRow>(columns, language),
    {
      id: "hostname",
      title: t("field.hostname"),
      width: 150,
      sortable: true,
      render: (row) => <Text value={row.hostname} />,
    },
    { id: "changed_ms", title: t("field.changed_ms"), width: 120, sortable: true, render: (row) => <Age ms={row.changed_ms} /> },
    {
      id: "last_seen_ms",
      title: t("field.last_seen_ms"),
      width: 120,
      sortable: true,
      render: (row) =>
        row.gone_ms != null ? (
          <span className="gone">
            {t("assets.goneSince")} <Age ms={row.gone_ms} />
          </span>
        ) : (
          <Age ms={row.last_seen_ms} />
        ),
    },
  ];
}
