import { useQuery } from "@tanstack/react-query";
import { App, Button, Checkbox, InputNumber, Modal, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { ApiError, client, data } from "@/api/client";
import type { PackageView } from "@/api/types";
import { also, quote } from "@/lib/filter";
import { count } from "@/lib/format";
import { duration } from "@/lib/time";
import { FilterBar } from "@/ui/FilterBar";
import { Failed, Loaded } from "@/ui/States";
import { agentFields } from "./AgentList";

export function StartButton({ sha256, small = false }: { sha256?: string; small?: boolean }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <span onClick={(event) => event.stopPropagation()} role="presentation">
      <Button type={small ? "default" : "primary"} size={small ? "small" : "middle"} onClick={() => setOpen(true)}>
        {t(small ? "rollout.roll" : "rollout.start")}
      </Button>
      {open && <Dialog sha256={sha256} onClose={() => setOpen(false)} />}
    </span>
  );
}

/** A staged upgrade: which package, to whom, how carefully; with a look at whom it would reach. */
function Dialog({ sha256, onClose }: { sha256?: string; onClose(): void }) {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const navigate = useNavigate();
  const packages = useQuery({
    queryKey: ["packages", "choices"],
    queryFn: () => data(client.GET("/api/v1/packages", { params: { query: { limit: 200 } } })),
  });
  const [chosen, setChosen] = useState(sha256 ?? "");
  const [filter, setFilter] = useState("");
  const [canary, setCanary] = useState(1);
  const [soak, setSoak] = useState(5);
  const [failed, setFailed] = useState(10);
  const [downgrade, setDowngrade] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      const made = await data(
        client.POST("/api/v1/rollouts", { body: { sha256: wanted?.sha256 ?? "", filter, canary, soak_s: soak * 60, max_failed_pct: failed, downgrade } }),
      );
      notification.success({ title: t("rollout.started"), description: made.version });
      onClose();
      void navigate(`/rollouts/${made.id}`);
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  const list = packages.data?.items ?? [];
  const wanted = list.find((one) => one.sha256 === chosen) ?? list[0];
  return (
    <Modal open title={t("rollout.start")} onCancel={onClose} footer={null} width={660} destroyOnHidden>
      <Loaded query={packages}>
        {() =>
          wanted ? (
            <div className="stack">
              <label className="field">
                {t("rollout.package")}
                <Select
                  value={wanted.sha256}
                  aria-label={t("rollout.package")}
                  onChange={setChosen}
                  options={list.map((one) => ({ value: one.sha256, label: `${one.version} · ${one.arch} · #${one.sequence}${one.note ? ` · ${one.note}` : ""}` }))}
                />
              </label>
              <div className="field">
                <span>{t("rollout.whom")}</span>
                <FilterBar value={filter} fields={agentFields(t)} onApply={setFilter} placeholder={t("rollout.whomExample")} />
              </div>
              <div className="form-row">
                <label>
                  {t("rollout.canary")}
                  <InputNumber min={0} max={100_000} value={canary} onChange={(value) => setCanary(value ?? 0)} />
                  <span className="muted">{t("rollout.canaryHelp")}</span>
                </label>
                <label>
                  {t("rollout.soak")}
                  <InputNumber min={0} max={10_080} value={soak} suffix={t("unit.minutesShort")} onChange={(value) => setSoak(value ?? 0)} />
                  <span className="muted">{t("rollout.soakHelp", { time: duration(soak * 60) })}</span>
                </label>
                <label>
                  {t("rollout.maxFailed")}
                  <InputNumber min={0} max={100} value={failed} suffix="%" onChange={(value) => setFailed(value ?? 0)} />
                  <span className="muted">{t("rollout.maxFailedHelp")}</span>
                </label>
              </div>
              <Checkbox checked={downgrade} onChange={(event) => setDowngrade(event.target.checked)}>
                {t("rollout.downgrade")}
              </Checkbox>
              <Preview filter={filter} wanted={wanted} canary={canary} />
              {error !== null && <Failed error={error} />}
              <div className="form-foot">
                <Button type="primary" loading={busy} onClick={() => void start()}>
                  {t("rollout.go")}
                </Button>
                <Button onClick={onClose}>{t("action.cancel")}</Button>
              </div>
            </div>
          ) : (
            <p>{t("package.noneText")}</p>
          )
        }
      </Loaded>
    </Modal>
  );
}

/** Whom it would reach, and who would be left out and why: counted by the server's own filter. */
function Preview({ filter, wanted, canary }: { filter: string; wanted: PackageView; canary: number }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: ["agents", "preview", filter, wanted.sha256],
    queryFn: async () => {
      const total = async (term: string) => {
        const page = await data(client.GET("/api/v1/agents", { params: { query: { filter: also(filter, term) || undefined, limit: 1 } } }));
        return page.total ?? page.items.length;
      };
      const arch = quote(wanted.arch, "str");
      const [all, revoked, other, alone, same] = await Promise.all([
        total(""),
        total("state in (revoked, cloned)"),
        total(`state in (online, late, offline) and arch != ${arch}`),
        total(`state in (online, late, offline) and arch = ${arch} and (package_state = none or package_state is null)`),
        total(`state in (online, late, offline) and arch = ${arch} and not package_state = none and package = ${quote(wanted.sha256, "str")}`),
      ]);
      return { all, revoked, other, alone, same, left: Math.max(0, all - revoked - other - alone - same) };
    },
  });
  if (query.error instanceof ApiError) return <Failed error={query.error} />;
  return (
    <Loaded query={query} rows={2}>
      {(seen) => (
        <div className="preview" role="status">
          <p>
            <b>{t("rollout.reaches", { count: seen.left, shown: count(seen.left) })}</b> {t("rollout.first", { count: Math.min(canary, seen.left), shown: count(Math.min(canary, seen.left)) })}
          </p>
          <ul>
            {(["revoked", "other", "alone", "same"] as const)
              .filter((why) => seen[why] > 0)
              .map((why) => (
                <li key={why}>{t(`rollout.skips.${why}`, { count: seen[why], shown: count(seen[why]), arch: wanted.arch })}</li>
              ))}
          </ul>
        </div>
      )}
    </Loaded>
  );
}
