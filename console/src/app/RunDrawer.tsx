import { App, Button, Drawer, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { client, data } from "@/api/client";
import { usePaged, useRun } from "@/api/queries";
import type { RunView, RunTaskView } from "@/api/types";
import { count } from "@/lib/format";
import { progress, TASK_STATES } from "@/lib/runs";
import { useUrl } from "@/lib/url";
import { Age, Until } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { ExportButton } from "@/ui/ExportButton";
import { ListFoot } from "@/ui/ListFoot";
import { RunBar, RunState, TaskState } from "@/ui/RunBits";
import { Empty, Failed, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";
import { useHotkeys } from "./hotkeys";
import { useMay } from "./session";

/** One run beside whatever page is open: how far it is, machine by machine. */
export default function RunDrawer() {
  const { t } = useTranslation();
  const url = useUrl();
  const id = url.get("run");
  const close = () => url.set({ run: null, task: null });
  useHotkeys([{ key: "Escape", label: "keys.close", run: close }], Boolean(id));
  const query = useRun(id);
  return (
    <Drawer open={Boolean(id)} onClose={close} size={720} mask={false} title={t("run.one")} destroyOnHidden extra={query.data && <Cancel run={query.data} />}>
      {query.error && query.data === undefined ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <Loaded query={query} rows={8}>
          {(run) => <Body run={run} />}
        </Loaded>
      )}
    </Drawer>
  );
}

function Cancel({ run }: { run: RunView }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const change = useChange(["runs"]);
  if (!useMay("analyst") || run.state !== "running") return null;
  const left = run.total - progress(run).over;
  const ask = () =>
    modal.confirm({
      title: t("run.cancelAsk", { count: left, shown: count(left) }),
      content: <div className="confirm-text">{t("run.cancelText")}</div>,
      okText: t("run.cancel"),
      okButtonProps: { danger: true },
      cancelText: t("run.keep"),
      onOk: () => change(() => data(client.POST("/api/v1/runs/{run_id}/cancel", { params: { path: { run_id: run.id } } }))),
    });
  return (
    <Button danger onClick={ask}>
      {t("run.cancel")}
    </Button>
  );
}

function Body({ run }: { run: RunView }) {
  const { t } = useTranslation();
  const subclasses = (run.args?.subclasses as string[] | undefined) ?? [];
  return (
    <div className="stack run-body">
      <dl className="facts">
        <div>
          <dt>{t("task.state")}</dt>
          <dd>
            <RunState state={run.state} /> {run.ended_ms != null ? <Age ms={run.ended_ms} /> : <>{t("run.until")} <Until ms={run.not_after_ms} /></>}
          </dd>
        </div>
        <div>
          <dt>{t("run.order")}</dt>
          <dd>
            {t(`task.kind.${run.kind}`, { defaultValue: run.kind })}
            {subclasses.length > 0 && `: ${subclasses.join(", ")}`}
          </dd>
        </div>
        <div>
          <dt>{t("run.scope")}</dt>
          <dd>{run.filter ? <Text mono value={run.filter} /> : t("list.allWorkloads")}</dd>
        </div>
        <div>
          <dt>{t("task.by")}</dt>
          <dd>
            <Text value={run.created_by} /> · <Age ms={run.created_ms} />
          </dd>
        </div>
      </dl>
      <RunBar run={run} />
      <Tasks run={run} />
    </div>
  );
}

function Tasks({ run }: { run: RunView }) {
  const { t } = useTranslation();
  const url = useUrl();
  const state = TASK_STATES.find((one) => one === url.get("task")) ?? "";
  const list = usePaged<RunTaskView>(
    ["runs", "tasks", run.id, state],
    (cursor) =>
      data(
        client.GET("/api/v1/runs/{run_id}/tasks", {
          params: { path: { run_id: run.id }, query: { filter: state ? `state = ${state}` : undefined, cursor, limit: 200 } },
        }),
      ),
    { refetchMs: run.ended_ms == null ? 3_000 : undefined },
  );
  const columns: Col<RunTaskView>[] = [
    { id: "hostname", title: t("field.hostname"), width: 170, render: (row) => <Link to={`/workloads/${row.workload}?tab=tasks`}><Text value={row.hostname || row.workload} /></Link> },
    { id: "state", title: t("task.state"), width: 96, render: (row) => <TaskState state={row.state} /> },
    { id: "message", title: t("task.message"), width: 250, render: (row) => <span title={row.message}><Text value={row.message} /></span> },
    { id: "ended_ms", title: t("task.ended"), width: 110, render: (row) => (row.ended_ms == null ? "–" : <Age ms={row.ended_ms} />) },
  ];
  const states = TASK_STATES.filter((one) => (run.states?.[one] ?? 0) > 0 || one === state);
  return (
    <>
      <div className="toolbar">
      <Segmented
        value={state}
        aria-label={t("run.filter")}
        onChange={(value) => url.set({ task: value })}
        options={[
          { value: "", label: `${t("run.every")} ${count(run.total)}` },
          ...states.map((one) => ({ value: one, label: `${t(`task.states.${one}`)} ${count(run.states?.[one] ?? 0)}` })),
        ]}
      />
      <ExportButton
        path={`/api/v1/runs/${encodeURIComponent(run.id)}/tasks/export`}
        title={t("run.tasks")}
        params={{ filter: state && `state = ${state}` }}
        columns={columns.map((column) => column.id)}
      />
      </div>
      {list.query.error && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<RunTaskView>
          label={t("run.tasks")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.id}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          keys={false}
          height={420}
          empty={list.query.isPending ? null : <Empty title={t("run.noTasks")} />}
        />
      )}
    </>
  );
}
