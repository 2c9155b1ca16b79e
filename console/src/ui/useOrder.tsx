import { useQueryClient } from "@tanstack/react-query";
import { App } from "antd";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import { count } from "@/lib/format";
import { quote } from "@/lib/filter";
import { useUrl } from "@/lib/url";
import { Text } from "./Text";

/** The filter that leaves exactly these machines. */
export function onlyThese(ids: readonly string[]): string {
  return ids.length === 1 ? `id = ${quote(ids[0] ?? "", "str")}` : `id in (${ids.map((id) => quote(id, "str")).join(", ")})`;
}

/** Orders to collect now: to one machine at once, to many after a look at how many they are. */
export function useOrder() {
  const { t } = useTranslation();
  const { modal, notification } = App.useApp();
  const cache = useQueryClient();
  const url = useUrl();
  const failed = (error: unknown) => notification.error({ title: t("task.notSent"), description: error instanceof Error ? error.message : String(error) });

  const one = async (workload: string, subclasses: string[] = []) => {
    try {
      await client.POST("/api/v1/workloads/{workload_id}/tasks", {
        params: { path: { workload_id: workload } },
        body: { kind: "collect", subclasses, ttl_s: 300 },
      });
      notification.success({ title: t("task.sent"), description: t("task.sentText") });
      void cache.invalidateQueries({ queryKey: ["tasks", workload] });
    } catch (error) {
      failed(error);
    }
  };
  const many = async (filter: string) => {
    try {
      const run = await data(client.POST("/api/v1/runs", { body: { kind: "collect", subclasses: [], filter, ttl_s: 3600 } }));
      void cache.invalidateQueries({ queryKey: ["runs"] });
      url.set({ run: run.id }, true);
    } catch (error) {
      failed(error);
    }
  };
  /** Says how many machines the order would reach, then sends it. */
  const ask = async (filter: string, shown = filter) => {
    try {
      const page = await data(client.GET("/api/v1/workloads", { params: { query: { filter: filter || undefined, limit: 1 } } }));
      const total = page.total ?? page.items.length;
      if (!total) {
        notification.info({ title: t("run.nobody") });
        return;
      }
      modal.confirm({
        title: t("run.ask", { count: total, shown: count(total) }),
        content: (
          <div className="confirm-text">
            {shown && (
              <p>
                <Text value={shown} />
              </p>
            )}
            <p>{t("run.askText")}</p>
          </div>
        ),
        okText: t("task.collect"),
        cancelText: t("action.cancel"),
        onOk: () => many(filter),
      });
    } catch (error) {
      failed(error);
    }
  };
  return { one, many, ask: (filter: string, shown?: string) => void ask(filter, shown) };
}
