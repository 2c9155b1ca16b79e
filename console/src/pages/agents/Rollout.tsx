import { useQuery } from "@tanstack/react-query";
import { App, Button, Segmented } from "antd";
import { useTranslation } from "react-i18next";
import { Link, useParams } from "react-router";
import { client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { RolloutAgentView, RolloutView } from "@/api/types";
import { useMay } from "@/app/session";
import { count } from "@/lib/format";
import { AGENT_STATES, isOver, steps } from "@/lib/rollouts";
import { duration } from "@/lib/time";
import { link, useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { ListFoot } from "@/ui/ListFoot";
import { PageHead } from "@/ui/PageHead";
import { Panel } from "@/ui/Panel";
import { RolloutAgentState, RolloutBar, RolloutState } from "@/ui/RolloutBits";
import { Empty, Failed, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";

/** One staged upgrade: where it stands, agent by agent, and the brakes. */
export default function Rollout() {
  const id = useParams().id ?? "";
  const query = useQuery({
    queryKey: ["rollouts", "one", id],
    queryFn: () => data(client.GET("/api/v1/rollouts/{rollout_id}", { params: { path: { rollout_id: id } } })),
    refetchInterval: (now) => (now.state.data && isOver(now.state.data.state) ? false : 3_000),
  });
  return query.data ? (
    <Shown rollout={query.data} asOf={query.dataUpdatedAt} />
  ) : (
    <div className="page">
      <Loaded query={query} rows={10}>
        {() => null}
      </Loaded>
    </div>
  );
}

function Shown({ rollout, asOf }: { rollout: RolloutView; asOf: number }) {
  const { t } = useTranslation();
  const admin = useMay("admin");
  return (
    <div className="page page-fill">
      <PageHead
        title={t("rollout.of", { version: rollout.version })}
        crumbs={[
          { to: "/agents", label: t("nav.agents") },
          { to: "/agents?tab=rollouts", label: t("agents.tab.rollouts") },
        ]}
        sub={
          <>
            <RolloutState state={rollout.state} /> {t("task.by")} <Text value={rollout.created_by} /> · <Age ms={rollout.created_ms} />
          </>
        }
        actions={admin && <Brakes rollout={rollout} />}
      />
      {rollout.message && (
        <p className={`notice ${rollout.state === "halted" ? "notice-bad" : ""}`} role={rollout.state === "halted" ? "alert" : undefined}>
          <Text value={rollout.message} />
        </p>
      )}
      <Panel title={t("rollout.progress")} asOf={asOf}>
        <Rings rollout={rollout} />
        <RolloutBar states={rollout.states ?? {}} total={rollout.total} />
        <p className="muted">
          {t("run.scope")}: {rollout.filter ? <Text mono value={rollout.filter} /> : t("rollout.allAgents")} · SHA-256 <code title={rollout.sha256}>{rollout.sha256.slice(0, 16)}</code>
          {rollout.downgrade && ` · ${t("rollout.downgrades")}`}
        </p>
      </Panel>
      <AgentTable rollout={rollout} />
    </div>
  );
}

function Rings({ rollout }: { rollout: RolloutView }) {
  const { t } = useTranslation();
  const [canary, all, end] = steps(rollout);
  const rings = [
    { id: "canary", step: canary, note: t("rollout.ringCanary", { count: rollout.canary, shown: count(rollout.canary), soak: duration(rollout.soak_s) }) },
    { id: "all", step: all, note: t("rollout.ringAll", { pct: rollout.max_failed_pct }) },
    { id: "end", step: end, note: rollout.ended_ms != null ? <Age ms={rollout.ended_ms} /> : "" },
  ];
  return (
    <ol className="rings">
      {rings.map((ring) => (
        <li key={ring.id} className={`ring ring-${ring.step}`} aria-current={ring.step === "later" || ring.step === "done" ? undefined : "step"}>
          <span className="ring-dot" aria-hidden="true" />
          <b>{t(`rollout.ring.${ring.id}`)}</b> <span className="ring-state">{t(`rollout.step.${ring.step}`)}</span>
          <span className="muted">{ring.note}</span>
        </li>
      ))}
    </ol>
  );
}

function Brakes({ rollout }: { rollout: RolloutView }) {
  const { t } = useTranslation();
  const { modal } = App.useApp();
  const change = useChange(["rollouts"]);
  const at = { params: { path: { rollout_id: rollout.id } } };
  if (isOver(rollout.state)) return null;
  const held = rollout.state === "paused";
  const cancel = () =>
    modal.confirm({
      title: t("rollout.cancelAsk"),
      content: <div className="confirm-text">{t("rollout.cancelText")}</div>,
      okText: t("rollout.cancel"),
      okButtonProps: { danger: true },
      cancelText: t("run.keep"),
      onOk: () => change(() => data(client.POST("/api/v1/rollouts/{rollout_id}/cancel", at))),
    });
  return (
    <>
      {held ? (
        <Button type="primary" onClick={() => void change(() => data(client.POST("/api/v1/rollouts/{rollout_id}/resume", at)))}>
          {t("rollout.resume")}
        </Button>
      ) : (
        <Button onClick={() => void change(() => data(client.POST("/api/v1/rollouts/{rollout_id}/pause", at)))}>{t("rollout.pause")}</Button>
      )}
      <Button danger onClick={cancel}>
        {t("rollout.cancel")}
      </Button>
    </>
  );
}

function AgentTable({ rollout }: { rollout: RolloutView }) {
  const { t } = useTranslation();
  const url = useUrl();
  const state = AGENT_STATES.find((one) => one === url.get("state")) ?? "";
  const list = usePaged<RolloutAgentView>(
    ["rollouts", "agents", rollout.id, state],
    (cursor) =>
      data(
        client.GET("/api/v1/rollouts/{rollout_id}/agents", {
          params: { path: { rollout_id: rollout.id }, query: { filter: state ? `state = ${state}` : undefined, cursor, limit: 200 } },
        }),
      ),
    { refetchMs: isOver(rollout.state) ? undefined : 3_000 },
  );
  const columns: Col<RolloutAgentView>[] = [
    { id: "hostname", title: t("field.hostname"), width: 170, render: (row) => <Link to={link("/agents", { agent: row.agent })}><Text value={row.hostname || row.workload} /></Link> },
    { id: "ring", title: t("rollout.ringTitle"), width: 110, render: (row) => t(`rollout.ring.${row.ring}`) },
    { id: "state", title: t("field.state"), width: 120, render: (row) => <RolloutAgentState state={row.state} /> },
    { id: "version", title: t("rollout.runs"), width: 110, render: (row) => <Text value={row.version || "–"} /> },
    { id: "message", title: t("slot.reason"), width: 420, render: (row) => <span title={row.message}><Text value={row.message || "–"} /></span> },
    { id: "at_ms", title: t("field.changed_ms"), width: 120, render: (row) => (row.at_ms == null ? "–" : <Age ms={row.at_ms} />) },
  ];
  const states = AGENT_STATES.filter((one) => (rollout.states?.[one] ?? 0) > 0 || one === state);
  return (
    <>
      <div className="toolbar">
        <Segmented
          value={state}
          aria-label={t("run.filter")}
          onChange={(value) => url.set({ state: value })}
          options={[
            { value: "", label: `${t("run.every")} ${count(rollout.total)}` },
            ...states.map((one) => ({ value: one, label: `${t(`rollout.agent.${one}`)} ${count(rollout.states?.[one] ?? 0)}` })),
          ]}
        />
      </div>
      {list.query.error && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<RolloutAgentView>
          label={t("nav.agents")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => row.agent}
          onEnd={list.loadMore}
          footer={<ListFoot list={list} />}
          empty={list.query.isPending ? null : <Empty title={t("rollout.noAgents")} />}
        />
      )}
    </>
  );
}
