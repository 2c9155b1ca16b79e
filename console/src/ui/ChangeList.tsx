import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { ApiError, client, data } from "@/api/client";
import { usePaged, useTaxonomy } from "@/api/queries";
import type { Change, Column } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import type { FilterField } from "@/lib/filter";
import { stamp } from "@/lib/time";
import { chosen } from "@/lib/columns";
import { useUrl } from "@/lib/url";
import { Age } from "./Age";
import { DataTable, type Col } from "./DataTable";
import { ColumnChooser } from "./ColumnChooser";
import { ExportButton } from "./ExportButton";
import { FilterBar } from "./FilterBar";
import { ListFoot } from "./ListFoot";
import { Empty, Failed } from "./States";
import { Text } from "./Text";
import { titleOf, valueText } from "./Value";

const KINDS = ["added", "changed", "removed"] as const;

/** What came, changed and went. */
export function ChangeList({ workload, since, height }: { workload?: string; since?: number; height?: number | string }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const url = useUrl();
  const { data: classes } = useTaxonomy();
  const subclasses = useMemo(() => new Map(classes?.flatMap((one) => one.subclasses ?? []).map((sub) => [sub.id, sub])), [classes]);
  const filter = url.get("q");
  const scope = { filter: filter || undefined, workload: workload || undefined, since_ms: since };
  const list = usePaged<Change>(
    ["changes", scope],
    (cursor) => data(client.GET("/api/v1/changes", { params: { query: { ...scope, cursor, limit: 200 } } })),
    { refetchMs: 10_000 },
  );
  const fields: FilterField[] = (["kind", "subclass", "label", "hostname"] as const).map((name) => ({ name, kind: "str", title: t(`field.${name}`) }));
  const values = useMemo(
    () => (field: string) =>
      Promise.resolve(
        field === "kind" ? KINDS.map((value) => ({ value, count: -1 })) : field === "subclass" ? [...subclasses.keys()].map((value) => ({ value, count: -1 })) : [],
      ),
    [subclasses],
  );
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  const every: Col<Change>[] = [
    { id: "at_ms", title: t("field.time"), width: 150, render: (row) => <time title={stamp(row.at_ms)}>{stamp(row.at_ms)}</time> },
    { id: "kind", title: t("field.kind"), width: 88, render: (row) => <span className={`change change-${row.kind}`}>{t(`change.${row.kind}`)}</span> },
    {
      id: "subclass",
      title: t("field.subclass"),
      width: 150,
      render: (row) => {
        const sub = subclasses.get(row.subclass);
        return sub ? titleOf(sub.title, language) : row.subclass;
      },
    },
    {
      id: "label",
      title: t("field.label"),
      width: 200,
      render: (row) => (
        <Link to={`/asset/${row.asset}`} onClick={(event) => event.stopPropagation()}>
          <Text value={row.label} />
        </Link>
      ),
    },
    { id: "diff", title: t("field.diff"), width: 520, render: (row) => <InlineDiff change={row} columns={subclasses.get(row.subclass)?.columns ?? []} /> },
    ...(workload ? [] : [{ id: "hostname", title: t("field.hostname"), width: 140, render: (row: Change) => <Text value={row.hostname} /> }]),
  ];
  const columns = chosen(every, url.get("cols"));
  return (
    <>
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} values={values} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("change.example")} />
        <ColumnChooser columns={every} value={columns.map((column) => column.id)} onChange={(cols) => url.set({ cols })} />
        <ExportButton path="/api/v1/changes/export" title={t("nav.changes")} params={scope} columns={columns.map((column) => column.id)} />
      </div>
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<Change>
          label={t("nav.changes")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => String(row.seq)}
          onEnd={list.loadMore}
          height={height}
          footer={<ListFoot list={list} />}
          empty={
            list.query.isPending ? null : (
              <Empty title={t(filter ? "change.noneFiltered" : "change.none")}>
                {since !== undefined && t("list.since", { at: stamp(since) })} {list.asOf !== undefined && <Age ms={list.asOf} prefix={t("age.asOf")} />}
              </Empty>
            )
          }
        />
      )}
    </>
  );
}

const GLANCE = 4;

/** The first telling fields of what came or went. */
function Glance({ fields = {}, columns, words }: { fields?: Record<string, unknown>; columns: readonly Column[]; words: { yes: string; no: string } }) {
  const { language } = usePrefs();
  const told = columns.filter((column) => !column.wide && column.kind !== "bool" && fields[column.name] != null && String(fields[column.name]) !== "");
  return (
    <span className="inline-diff">
      {told.slice(0, GLANCE).map((column) => (
        <span key={column.name}>
          <span className="muted">{titleOf(column.title, language)}</span> {valueText(column.name, fields[column.name], words)}
        </span>
      ))}
    </span>
  );
}

function InlineDiff({ change, columns }: { change: Change; columns: readonly Column[] }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const words = { yes: t("value.yes"), no: t("value.no") };
  if (change.kind !== "changed") return <Glance fields={change.kind === "added" ? change.after : change.before} columns={columns} words={words} />;
  const before = change.before ?? {};
  const after = change.after ?? {};
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return (
    <span className="inline-diff">
      {names.map((name) => {
        const column = columns.find((one) => one.name === name);
        return (
          <span key={name}>
            <span className="muted">{column ? titleOf(column.title, language) : name}</span> <del>{valueText(name, before[name], words)}</del> →{" "}
            <ins>{valueText(name, after[name], words)}</ins>
          </span>
        );
      })}
    </span>
  );
}
