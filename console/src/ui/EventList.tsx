import { CaretRightOutlined, PauseOutlined } from "@ant-design/icons";
import { Button, Checkbox, Drawer, Segmented } from "antd";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import { useStream, type StreamHealth } from "@/api/stream";
import type { EventRow, Notice } from "@/api/types";
import { useHotkeys } from "@/app/hotkeys";
import { usePrefs } from "@/app/prefs";
import { allColumns, EVENT_TABLES, merge, tableColumns, type EventTable } from "@/lib/events";
import { count } from "@/lib/format";
import { clock, stamp } from "@/lib/time";
import { chosen as chosenColumns } from "@/lib/columns";
import { useSince, useUrl } from "@/lib/url";
import { Age } from "./Age";
import { ColumnChooser } from "./ColumnChooser";
import { DataTable, type Col } from "./DataTable";
import { ExportButton } from "./ExportButton";
import { FilterBar } from "./FilterBar";
import { ListFoot } from "./ListFoot";
import { Empty, Failed } from "./States";
import { Text } from "./Text";
import { fieldColumns, titleOf, Value } from "./Value";

const KEEP = 5000;
const FLUSH_MS = 400;

function keyOf(row: EventRow): string {
  const f = row.fields ?? {};
  return [row.workload, row.table, row.time_ms, f.mono_ns, f.pid, f.activity_id, f.source, f.dst_port].join("|");
}

interface Props {
  /** Only this workload; its column is left out then. */
  workload?: string;
  height?: number | string;
}

/** Events of one class: what the lake holds, and on top of it what arrives now. */
export function EventList({ workload, height }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const url = useUrl();
  const table = (EVENT_TABLES.includes(url.get("table")) ? url.get("table") : "process_activity") as EventTable;
  const filter = url.get("q");
  const self = url.get("self") === "1";
  const chosen = workload ?? url.get("workload");
  const since = useSince().ms;
  const scope = useMemo(
    () => ({
      table,
      filter: filter || undefined,
      workload: chosen || undefined,
      since_ms: since,
      self: self || undefined,
    }),
    [table, filter, chosen, since, self],
  );
  const [paused, setPaused] = useState(false);
  const [picked, setPicked] = useState<EventRow | null>(null);
  // With a filter the server decides what fits, so the list is read again instead.
  const list = usePaged<EventRow>(
    ["events", scope],
    (cursor) => data(client.GET("/api/v1/events", { params: { query: { ...scope, cursor, limit: 200 } } })),
    { refetchMs: paused ? undefined : filter ? 5_000 : 30_000 },
  );
  const fits = useCallback(
    (row: EventRow) => row.table === table && (!chosen || row.workload === chosen) && (self || row.fields?.is_self !== true),
    [table, chosen, self],
  );
  const live = useLive(fits, paused || picked !== null, filter);
  const rows = useMemo(() => (filter ? list.rows : merge(live.rows, list.rows, keyOf, KEEP)), [filter, live.rows, list.rows]);
  const cols = url.get("cols");
  const every = useMemo(() => eventColumns(table, language, !workload, t, true), [table, language, workload, t]);
  const usual = useMemo(() => eventColumns(table, language, !workload, t, false), [table, language, workload, t]);
  const columns = cols ? chosenColumns(every, cols) : usual;
  const fields = useMemo(
    () => [
      ...allColumns(table)
        .filter((column) => column.name !== "time_ns")
        .map((column) => ({ name: column.name, kind: column.kind, title: titleOf(column.title, language) })),
      { name: "hostname", kind: "str" as const, title: t("field.hostname") },
      { name: "time_ms", kind: "int" as const, title: t("field.time") },
    ],
    [table, language, t],
  );
  useHotkeys([{ key: "p", label: "keys.pause", run: () => setPaused(!paused) }]);
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;

  return (
    <>
      <div className="toolbar">
        <Segmented
          value={table}
          aria-label={t("event.class")}
          onChange={(value) => url.set({ table: value, q: null, cols: null })}
          options={EVENT_TABLES.map((name) => ({ value: name, label: t(`event.${name}`) }))}
        />
        <FilterBar
          value={filter}
          fields={fields}
          onApply={(q) => url.set({ q })}
          refused={refused?.message}
          placeholder={t(`event.example.${table}`)}
        />
        <Checkbox checked={self} onChange={(event) => url.set({ self: event.target.checked ? "1" : null })}>
          {t("event.self")}
        </Checkbox>
        <LiveState health={live.health} paused={paused} />
        <Button
          icon={paused ? <CaretRightOutlined /> : <PauseOutlined />}
          onClick={() => {
            setPaused(!paused);
            if (paused) live.take();
          }}
        >
          {t(paused ? "live.resume" : "live.pause")}
        </Button>
        <ColumnChooser columns={every} value={columns.map((column) => column.id)} onChange={(next) => url.set({ cols: next })} />
        <ExportButton
          path="/api/v1/events/export"
          title={t(`event.${table}`)}
          params={{ ...scope, table }}
          columns={columns.map((column) => column.id)}
        />
      </div>
      {live.waiting > 0 && (
        <div className="pill-row">
          <button
            type="button"
            className="pill"
            onClick={() => {
              if (filter) void list.query.refetch();
              live.take();
            }}
          >
            {t("live.new", { count: live.waiting, shown: count(live.waiting) })}
          </button>
        </div>
      )}
      {list.query.error && !refused && !rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<EventRow>
          label={t(`event.${table}`)}
          columns={columns}
          rows={rows}
          rowKey={keyOf}
          onOpen={setPicked}
          openKey={picked ? keyOf(picked) : undefined}
          onEnd={list.loadMore}
          height={height}
          footer={<ListFoot list={{ ...list, rows }} />}
          empty={
            list.query.isPending ? null : (
              <Empty title={t(filter ? "event.noneFiltered" : "event.none")}>
                {list.asOf !== undefined && t("event.noneText", { at: stamp(list.asOf) })}
              </Empty>
            )
          }
        />
      )}
      <EventDrawer row={picked} onClose={() => setPicked(null)} />
    </>
  );
}

interface Live {
  rows: EventRow[];
  waiting: number;
  health: StreamHealth;
  take(): void;
}

/** Rows of the stream, newest first; while held back they are counted, not shown. */
function useLive(fits: (row: EventRow) => boolean, held: boolean, filter: string): Live {
  const [rows, setRows] = useState<EventRow[]>([]);
  const [waiting, setWaiting] = useState(0);
  const buffer = useRef<EventRow[]>([]);
  const stop = held || filter !== "";

  const take = useCallback(() => {
    const fresh = buffer.current;
    buffer.current = [];
    setWaiting(0);
    if (fresh.length) setRows((now) => [...fresh, ...now].slice(0, KEEP));
  }, []);
  const onNotice = useCallback(
    (notice: Notice) => {
      const fresh = (notice.events ?? []).filter(fits).reverse();
      if (fresh.length) buffer.current = [...fresh, ...buffer.current].slice(0, KEEP);
    },
    [fits],
  );
  const health = useStream(["events"], onNotice);
  useEffect(() => {
    buffer.current = [];
    setRows([]);
    setWaiting(0);
  }, [fits]);
  useEffect(() => {
    // Rendering a few times a second keeps up with any rate.
    const timer = setInterval(() => {
      if (!buffer.current.length) return;
      if (stop) setWaiting(buffer.current.length);
      else take();
    }, FLUSH_MS);
    return () => clearInterval(timer);
  }, [stop, take]);
  return { rows, waiting, health, take };
}

export function LiveState({ health, paused = false }: { health: StreamHealth; paused?: boolean }) {
  const { t } = useTranslation();
  const state = paused ? "paused" : health.state;
  return (
    <span className={`live live-${state}`} role="status">
      <span className="live-dot" aria-hidden="true" />
      {t(`live.${state}`)}
      {health.state !== "connecting" && health.heardMs !== null && (
        <span className="live-age">
          <Age ms={health.heardMs} />
        </span>
      )}
      {health.missed > 0 && <span className="warn-text">{t("live.missed", { count: health.missed })}</span>}
    </span>
  );
}

/** Shown in columns of their own. */
const APART = new Set(["time_ns", "activity_id"]);

type Translate = ReturnType<typeof useTranslation>["t"];

function eventColumns(table: string, language: "en" | "zh", withHost: boolean, t: Translate, all: boolean): Col<EventRow>[] {
  const host: Col<EventRow>[] = withHost
    ? [{ id: "hostname", title: t("field.hostname"), width: 140, render: (row) => <Text value={row.hostname} /> }]
    : [];
  return [
    {
      id: "time_ms",
      title: t("field.time"),
      width: 86,
      hint: t("field.timeHint"),
      render: (row) => <time title={`${stamp(row.time_ms)} · ${t("field.received")} ${stamp(row.received_ms)}`}>{clock(row.time_ms)}</time>,
    },
    ...host,
    {
      id: "activity_id",
      title: t("field.activity"),
      width: 92,
      render: (row) => {
        const id = Number(row.fields?.activity_id ?? 0);
        return <span className={`activity activity-${row.table}-${id}`}>{t(`activity.${row.table}.${id}`, { defaultValue: String(id) })}</span>;
      },
    },
    ...fieldColumns<EventRow>(all ? allColumns(table).filter((column) => !APART.has(column.name)) : tableColumns(table), language, false),
  ];
}

function EventDrawer({ row, onClose }: { row: EventRow | null; onClose(): void }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  useHotkeys([{ key: "Escape", label: "keys.close", run: onClose }], row !== null);
  return (
    <Drawer open={row !== null} onClose={onClose} size={560} mask={false} title={row && t(`event.${row.table}`)} destroyOnHidden>
      {row && (
        <dl className="facts">
          <div>
            <dt>{t("field.time")}</dt>
            <dd>{stamp(row.time_ms)}</dd>
          </div>
          <div>
            <dt>{t("field.received")}</dt>
            <dd>{stamp(row.received_ms)}</dd>
          </div>
          <div>
            <dt>{t("field.hostname")}</dt>
            <dd>
              <Text value={row.hostname} />
            </dd>
          </div>
          {allColumns(row.table)
            .filter((column) => column.name !== "time_ns")
            .map((column) => (
              <div key={column.name}>
                <dt title={column.doc || column.name}>{titleOf(column.title, language)}</dt>
                <dd>
                  <Value column={column} value={row.fields?.[column.name]} />
                </dd>
              </div>
            ))}
        </dl>
      )}
    </Drawer>
  );
}
