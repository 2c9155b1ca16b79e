import { App, Button } from "antd";
import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { client } from "@/api/client";
import type { WorkloadView } from "@/api/types";
import { display } from "@/lib/text";
import { Panel } from "@/ui/Panel";

/** Takes a machine off the books, for good. */
export function Remove({ workload }: { workload: WorkloadView }) {
  const { t } = useTranslation();
  const { modal, notification } = App.useApp();
  const navigate = useNavigate();
  const cache = useQueryClient();
  const remove = async () => {
    try {
      await client.DELETE("/api/v1/workloads/{workload_id}", { params: { path: { workload_id: workload.id } } });
      notification.success({ title: t("remove.done", { name: display(workload.hostname) }) });
      void navigate("/workloads");
      await cache.invalidateQueries();
    } catch (error) {
      notification.error({ title: t("error.notDone"), description: error instanceof Error ? error.message : String(error) });
    }
  };
  const ask = () =>
    modal.confirm({
      title: t("remove.ask", { name: display(workload.hostname) }),
      content: (
        <div className="confirm-text">
          <p>{t("remove.text")}</p>
          <p>{t("remove.again")}</p>
        </div>
      ),
      okText: t("remove.button"),
      okButtonProps: { danger: true },
      cancelText: t("action.cancel"),
      onOk: remove,
    });
  return (
    <Panel title={t("remove.title")}>
      <p>{t("remove.text")}</p>
      <p className="form-foot panel-act">
        <Button danger onClick={ask}>
          {t("remove.button")}
        </Button>
      </p>
    </Panel>
  );
}
