import { useQueryClient } from "@tanstack/react-query";
import { App, Button } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { client } from "@/api/client";

/** Orders the agent to look at everything (or at some subclasses) now. */
export function CollectNow({ workload, subclasses = [], small = false }: { workload: string; subclasses?: string[]; small?: boolean }) {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const cache = useQueryClient();
  const [busy, setBusy] = useState(false);
  const order = async () => {
    setBusy(true);
    try {
      await client.POST("/api/v1/workloads/{workload_id}/tasks", {
        params: { path: { workload_id: workload } },
        body: { kind: "collect", subclasses, ttl_s: 300 },
      });
      notification.success({ title: t("task.sent"), description: t("task.sentText") });
      void cache.invalidateQueries({ queryKey: ["tasks", workload] });
    } catch (error) {
      notification.error({ title: t("task.notSent"), description: error instanceof Error ? error.message : String(error) });
    }
    setBusy(false);
  };
  return (
    <Button type={small ? "default" : "primary"} size={small ? "small" : "middle"} loading={busy} onClick={() => void order()}>
      {t("task.collect")}
    </Button>
  );
}
