import { Alert, Button, Form, Input, Modal, Select } from "antd";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import type { EnrolmentView } from "@/api/types";
import { Until } from "./Age";
import { Copyable } from "./Copy";
import { Failed } from "./States";

/** Makes a one-time token and shows the command that joins a machine: it needs no internet. */
export function EnrolButton({ primary = true }: { primary?: boolean }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button type={primary ? "primary" : "default"} onClick={() => setOpen(true)} data-testid="enrol">
        {t("enrol.button")}
      </Button>
      {open && <EnrolDialog onClose={() => setOpen(false)} />}
    </>
  );
}

const HOUR = 3600;

export function EnrolDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const cache = useQueryClient();
  const [made, setMade] = useState<EnrolmentView | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const make = async (fields: { note?: string; ttl_s: number }) => {
    setBusy(true);
    setError(null);
    try {
      const body = { note: fields.note ?? "", ttl_s: fields.ttl_s };
      setMade(await data(client.POST("/api/v1/enrolments", { body })));
      void cache.invalidateQueries({ queryKey: ["enrolments"] });
    } catch (caught) {
      setError(caught);
    }
    setBusy(false);
  };
  return (
    <Modal open title={t("enrol.title")} onCancel={onClose} footer={null} width={640} destroyOnHidden>
      {error !== null && <Failed error={error} />}
      {made ? (
        <div className="stack">
          <p>{t("enrol.run")}</p>
          <Copyable text={made.command ?? ""} label={t("enrol.command")} />
          {made.install && (
            <>
              <p>{t("enrol.install")}</p>
              <Copyable text={made.install} label={t("enrol.installCommand")} />
            </>
          )}
          <Alert
            type="warning"
            showIcon
            title={
              <>
                {t("enrol.once")} <Until ms={made.expires_ms} />
              </>
            }
          />
          <p className="muted">{t("enrol.offline")}</p>
        </div>
      ) : (
        <Form layout="vertical" initialValues={{ ttl_s: 24 * HOUR }} onFinish={(fields) => void make(fields as { note?: string; ttl_s: number })}>
          <p>{t("enrol.text")}</p>
          <Form.Item name="note" label={t("enrol.note")}>
            <Input maxLength={200} placeholder={t("enrol.noteExample")} />
          </Form.Item>
          <Form.Item name="ttl_s" label={t("enrol.ttl")}>
            <Select
              options={[1, 24, 24 * 7].map((hours) => ({
                value: hours * HOUR,
                label: hours < 24 ? t("unit.hours", { count: hours }) : t("unit.days", { count: hours / 24 }),
              }))}
            />
          </Form.Item>
          <Button type="primary" htmlType="submit" loading={busy}>
            {t("enrol.make")}
          </Button>
        </Form>
      )}
    </Modal>
  );
}
