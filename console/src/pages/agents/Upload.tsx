import { InboxOutlined, UploadOutlined } from "@ant-design/icons";
import { useQueryClient } from "@tanstack/react-query";
import { App, Button, Input, Modal, Progress } from "antd";
import { useEffect, useId, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { PackageView } from "@/api/types";
import { bytes } from "@/lib/format";
import { upload, type Upload } from "@/lib/upload";
import { link } from "@/lib/url";
import { Failed } from "@/ui/States";

export function UploadButton() {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button type="primary" icon={<UploadOutlined />} onClick={() => setOpen(true)} data-testid="upload">
        {t("package.upload")}
      </Button>
      {open && <Dialog onClose={() => setOpen(false)} />}
    </>
  );
}

/** Takes a package; the server checks it and signs it with its release key. */
function Dialog({ onClose }: { onClose(): void }) {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const cache = useQueryClient();
  const input = useId();
  const [file, setFile] = useState<File | null>(null);
  const [note, setNote] = useState("");
  const [sent, setSent] = useState<number | null>(null);
  const [error, setError] = useState<unknown>(null);
  const running = useRef<Upload<PackageView> | null>(null);
  useEffect(() => () => running.current?.stop(), []);
  const send = async () => {
    if (!file) return;
    setError(null);
    setSent(0);
    const job = upload<PackageView>(link("/api/v1/packages", { note: note.trim() }), file, setSent);
    running.current = job;
    try {
      const made = await job.done;
      notification.success({ title: t("package.added"), description: `${made.version} · ${made.arch}` });
      void cache.invalidateQueries({ queryKey: ["packages"] });
      onClose();
    } catch (caught) {
      if (!(caught instanceof DOMException)) setError(caught);
      setSent(null);
    }
  };
  const busy = sent !== null;
  return (
    <Modal open title={t("package.upload")} onCancel={onClose} footer={null} width={520} mask={{ closable: !busy }} destroyOnHidden>
      <div className="stack">
        <p>{t("package.uploadText")}</p>
        <label
          className="drop"
          htmlFor={input}
          onDragOver={(event) => event.preventDefault()}
          onDrop={(event) => {
            event.preventDefault();
            setFile(event.dataTransfer.files[0] ?? null);
          }}
        >
          <InboxOutlined aria-hidden="true" />
          <span>{file ? `${file.name} · ${bytes(file.size)}` : t("package.choose")}</span>
          <input id={input} type="file" className="sr" accept=".xz" disabled={busy} onChange={(event) => setFile(event.target.files?.[0] ?? null)} />
        </label>
        <label className="field">
          {t("enrol.note")}
          <Input value={note} maxLength={200} disabled={busy} onChange={(event) => setNote(event.target.value)} placeholder={t("package.noteExample")} />
        </label>
        {busy && file && <Progress percent={Math.floor((sent / Math.max(1, file.size)) * 100)} status="active" format={(percent) => (percent === 100 ? t("package.checking") : `${percent}%`)} />}
        {error !== null && <Failed error={error} />}
        <div className="form-foot">
          <Button type="primary" disabled={!file || busy} loading={busy} onClick={() => void send()}>
            {t("package.send")}
          </Button>
          {busy && <Button onClick={() => running.current?.stop()}>{t("action.cancel")}</Button>}
        </div>
      </div>
    </Modal>
  );
}
