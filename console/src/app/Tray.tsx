import { CloseOutlined, LoadingOutlined, UnorderedListOutlined } from "@ant-design/icons";
import { useQueryClient } from "@tanstack/react-query";
import { Button, Popover } from "antd";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useRunning } from "@/api/queries";
import { useStream } from "@/api/stream";
import { bytes, count } from "@/lib/format";
import { progress } from "@/lib/runs";
import { useUrl } from "@/lib/url";
import { RunBar } from "@/ui/RunBits";
import { Text } from "@/ui/Text";
import { cancelDownload, download, forgetDownload, useDownloads, type Download } from "./downloads";
import { useHotkeys } from "./hotkeys";

/** Notices come in bursts: one question for each of these spans is enough. */
const ASK_MS = 700;

/** Topics of the stream that are also the first word of what is asked again. */
const LIVE = ["runs", "tasks", "alarms", "rollouts"];

/** Runs and exports under way, from anywhere in the console. */
export function Tray() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const running = useRunning();
  const downloads = useDownloads();
  const cache = useQueryClient();
  const waiting = useRef<ReturnType<typeof setTimeout> | null>(null);
  const told = useRef(new Set<string>());
  useStream(LIVE, (notice) => {
    told.current.add(notice.topic);
    waiting.current ??= setTimeout(() => {
      waiting.current = null;
      for (const topic of told.current) void cache.invalidateQueries({ queryKey: [topic] });
      told.current.clear();
    }, ASK_MS);
  });
  useEffect(() => () => clearTimeout(waiting.current ?? undefined), []);
  // An export that was asked for a moment ago, or failed, is worth a look.
  const newest = downloads[0]?.id ?? 0;
  useEffect(() => {
    if (newest) setOpen(true);
  }, [newest]);
  useHotkeys([{ key: "Escape", label: "keys.close", hidden: true, run: () => setOpen(false) }], open);

  const runs = running.data?.items ?? [];
  const active = (running.data?.total ?? runs.length) + downloads.filter((one) => one.state === "running").length;
  const failed = downloads.filter((one) => one.state === "failed").length;
  const label = active ? t("tray.active", { count: active }) : t("tray.title");
  const content = (
    <div className="tray" role="group" aria-label={t("tray.title")} onKeyDown={(event) => event.key === "Escape" && setOpen(false)}>
      <section>
        <header>
          <h3>{t("tray.runs")}</h3>
          <Link to="/runs" onClick={() => setOpen(false)}>
            {t("tray.all")}
          </Link>
        </header>
        {running.error ? (
          <p className="bad-text">{running.error.message}</p>
        ) : (
          runs.map((run) => <RunItem key={run.id} run={run} onOpen={() => setOpen(false)} />)
        )}
        {!running.error && !runs.length && <p className="muted">{t("tray.noRuns")}</p>}
      </section>
      <section>
        <h3>{t("tray.exports")}</h3>
        {downloads.map((one) => (
          <DownloadItem key={one.id} one={one} />
        ))}
        {!downloads.length && <p className="muted">{t("tray.noExports")}</p>}
      </section>
    </div>
  );
  return (
    <Popover content={content} trigger="click" placement="rightBottom" open={open} onOpenChange={setOpen} arrow={false} destroyOnHidden>
      <button type="button" className={`side-state ${failed ? "bad" : ""}`} title={label} aria-expanded={open} data-testid="tray">
        {active ? <LoadingOutlined spin /> : <UnorderedListOutlined />}
        <span>{t("tray.title")}</span>
        {active > 0 && <b>{count(active)}</b>}
      </button>
    </Popover>
  );
}

function RunItem({ run, onOpen }: { run: Parameters<typeof RunBar>[0]["run"]; onOpen(): void }) {
  const { t } = useTranslation();
  const url = useUrl();
  const { over } = progress(run);
  return (
    <button
      type="button"
      className="tray-item"
      onClick={() => {
        onOpen();
        url.set({ run: run.id }, true);
      }}
    >
      <span className="tray-line">
        <b>{t(`task.kind.${run.kind}`, { defaultValue: run.kind })}</b>
        <span className="muted">
          <Text value={run.filter || t("list.allWorkloads")} />
        </span>
        <span>{t("run.overOf", { over: count(over), total: count(run.total) })}</span>
      </span>
      <RunBar run={run} words={false} />
    </button>
  );
}

function DownloadItem({ one }: { one: Download }) {
  const { t } = useTranslation();
  return (
    <div className={`tray-item download-${one.state}`} role="status">
      <span className="tray-line">
        <b>{one.title}</b>
        <span className="muted">{one.format.toUpperCase()}</span>
        <span>{one.state === "running" ? bytes(one.bytes) : t(`export.state.${one.state}`, { bytes: bytes(one.bytes) })}</span>
        {one.state === "running" ? (
          <Button size="small" type="text" icon={<CloseOutlined />} aria-label={t("export.stop")} title={t("export.stop")} onClick={() => cancelDownload(one.id)} />
        ) : (
          <Button size="small" type="text" icon={<CloseOutlined />} aria-label={t("export.forget")} title={t("export.forget")} onClick={() => forgetDownload(one.id)} />
        )}
      </span>
      {one.state === "running" && <span className="download-bar" aria-hidden="true" />}
      {one.state === "failed" && (
        <span className="tray-line">
          <span className="bad-text">
            <Text value={one.message} />
          </span>
          <Button size="small" onClick={() => (forgetDownload(one.id), void download(one.title, one.format, one.address))}>
            {t("action.retry")}
          </Button>
        </span>
      )}
    </div>
  );
}
