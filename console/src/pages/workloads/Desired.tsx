import { useQueryClient } from "@tanstack/react-query";
import { App, Button, InputNumber, Switch } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ApiError, client } from "@/api/client";
import { useTaxonomy } from "@/api/queries";
import type { WorkloadDetail } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { useMay } from "@/app/session";
import { duration } from "@/lib/time";
import { currentAgent } from "@/ui/AgentBits";
import { Panel } from "@/ui/Panel";
import { Loaded } from "@/ui/States";
import { titleOf } from "@/ui/Value";
import { mistakeOf, tidy, type Window } from "@/lib/windows";
import { Remove } from "./Remove";
import { Windows } from "./Windows";

const MIB = 1024 * 1024;

function windowsOf(schedule: WorkloadDetail["schedule"]): Window[] {
  return (schedule.windows ?? []).map((one) => ({ start: one.start, minutes: one.minutes, days: one.days ?? [] }));
}

/** Schedule and budget as desired state: it stays on the machine until replaced. */
export function Desired({ detail }: { detail: WorkloadDetail }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { notification } = App.useApp();
  const cache = useQueryClient();
  const analyst = useMay("analyst");
  const admin = useMay("admin");
  const taxonomy = useTaxonomy();
  const [every, setEvery] = useState<Record<string, number>>(detail.schedule.every_s);
  const [paused, setPaused] = useState<string[]>(detail.schedule.paused);
  const [windows, setWindows] = useState<Window[]>(() => windowsOf(detail.schedule));
  const [budget, setBudget] = useState(detail.budget);
  const [busy, setBusy] = useState(false);
  const agent = currentAgent(detail.workload.agents ?? []);
  const dirty =
    JSON.stringify([every, paused, windows, budget]) !== JSON.stringify([detail.schedule.every_s, detail.schedule.paused, windowsOf(detail.schedule), detail.budget]);
  const wrong = windows.some((_, index) => mistakeOf(windows, index) !== null);

  const save = async () => {
    setBusy(true);
    try {
      await client.PUT("/api/v1/workloads/{workload_id}/desired", {
        params: { path: { workload_id: detail.workload.id } },
        body: { version: detail.desired_version, schedule: { ...detail.schedule, every_s: every, paused, windows: windows.map(tidy) }, budget },
      });
      notification.success({ title: t("desired.saved"), description: t("desired.savedText") });
      await cache.invalidateQueries({ queryKey: ["workload", detail.workload.id] });
    } catch (error) {
      const conflict = error instanceof ApiError && error.status === 409;
      notification.error({
        title: t(conflict ? "desired.conflict" : "desired.notSaved"),
        description: error instanceof Error ? error.message : String(error),
      });
      if (conflict) await cache.invalidateQueries({ queryKey: ["workload", detail.workload.id] });
    }
    setBusy(false);
  };
  const setInterval = (id: string, minutes: number | null) => {
    const next = { ...every };
    if (minutes === null) delete next[id];
    else next[id] = Math.round(minutes * 60);
    setEvery(next);
  };

  return (
    <div className="stack">
      <p className="muted">
        {t("desired.text", { version: detail.desired_version })}{" "}
        {agent &&
          (agent.acknowledged_version >= agent.desired_version ? t("desired.acknowledged") : t("desired.pending", { version: agent.acknowledged_version }))}
      </p>
      <Panel title={t("budget.grants")}>
        <div className="form-row">
          <label>
            {t("budget.background")}
            <InputNumber min={0.1} max={100} step={0.1} value={budget.background_pct} disabled={!analyst} suffix="%" onChange={(value) => value && setBudget({ ...budget, background_pct: value })} />
            <span className="muted">{t("budget.backgroundHelp")}</span>
          </label>
          <label>
            {t("budget.event")}
            <InputNumber min={0.1} max={100} step={0.5} value={budget.event_pct} disabled={!analyst} suffix="%" onChange={(value) => value && setBudget({ ...budget, event_pct: value })} />
            <span className="muted">{t("budget.eventHelp")}</span>
          </label>
          <label>
            {t("budget.spool")}
            <InputNumber min={1} step={16} value={Math.round(budget.spool_bytes / MIB)} disabled={!analyst} suffix="MiB" onChange={(value) => value && setBudget({ ...budget, spool_bytes: value * MIB })} />
            <span className="muted">{t("budget.spoolHelp")}</span>
          </label>
          <label>
            {t("budget.memoryBound")}
            <InputNumber min={64} step={64} value={Math.round(budget.memory_bytes / MIB)} disabled={!analyst} suffix="MiB" onChange={(value) => value && setBudget({ ...budget, memory_bytes: value * MIB })} />
            <span className="muted">{t("budget.memoryHelp")}</span>
          </label>
          <label>
            {t("budget.pressureBound")}
            <InputNumber min={1} max={100} step={5} value={budget.pressure_pct} disabled={!analyst} suffix="%" onChange={(value) => value && setBudget({ ...budget, pressure_pct: value })} />
            <span className="muted">{t("budget.pressureHelp")}</span>
          </label>
        </div>
      </Panel>
      <Panel title={t("window.title")}>
        <p className="muted">{t("window.text")}</p>
        <Windows value={windows} onChange={setWindows} disabled={!analyst} />
      </Panel>
      <Panel title={t("desired.schedule")} flush>
        <Loaded query={taxonomy}>
          {(classes) => (
            <table className="small-table wide">
              <thead>
                <tr>
                  <th scope="col">{t("field.subclass")}</th>
                  <th scope="col">{t("desired.every")}</th>
                  <th scope="col">{t("desired.paused")}</th>
                </tr>
              </thead>
              <tbody>
                {classes
                  .flatMap((one) => one.subclasses ?? [])
                  .filter((sub) => sub.state !== "not_collected")
                  .map((sub) => {
                    const name = titleOf(sub.title, language);
                    const seconds = every[sub.id];
                    return (
                      <tr key={sub.id}>
                        <td>{name}</td>
                        <td>
                          <InputNumber
                            size="small"
                            min={0.5}
                            max={10_080}
                            value={seconds === undefined ? null : seconds / 60}
                            placeholder={t("desired.default")}
                            disabled={!analyst}
                            suffix={t("unit.minutesShort")}
                            aria-label={`${t("desired.every")}: ${name}`}
                            onChange={(value) => setInterval(sub.id, value)}
                          />{" "}
                          {seconds !== undefined && <span className="muted">{duration(seconds)}</span>}
                        </td>
                        <td>
                          <Switch
                            size="small"
                            checked={paused.includes(sub.id)}
                            disabled={!analyst}
                            aria-label={`${t("desired.paused")}: ${name}`}
                            onChange={(on) => setPaused(on ? [...paused, sub.id] : paused.filter((id) => id !== sub.id))}
                          />
                        </td>
                      </tr>
                    );
                  })}
              </tbody>
            </table>
          )}
        </Loaded>
      </Panel>
      {analyst && (
        <div className="form-foot">
          <Button type="primary" disabled={!dirty || wrong} loading={busy} onClick={() => void save()}>
            {t("desired.save")}
          </Button>
          {dirty && <span className="muted">{t(wrong ? "window.wrong" : "desired.unsaved")}</span>}
        </div>
      )}
      {admin && <Remove workload={detail.workload} />}
    </div>
  );
}
