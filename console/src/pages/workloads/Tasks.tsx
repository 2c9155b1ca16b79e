import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { TaskView } from "@/api/types";
import { Age } from "@/ui/Age";
import { Panel } from "@/ui/Panel";
import { Empty, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";

export function Tasks({ workload }: { workload: string }) {
  const { t } = useTranslation();
  const list = usePaged<TaskView>(
    ["tasks", workload],
    (cursor) =>
      data(client.GET("/api/v1/workloads/{workload_id}/tasks", { params: { path: { workload_id: workload }, query: { cursor, limit: 100 } } })),
    { refetchMs: 3_000 },
  );
  return (
    <Panel title={t("workload.tab.tasks")} asOf={list.asOf} flush>
      <Loaded query={{ ...list.query, data: list.query.data as object | undefined }}>
        {() =>
          list.rows.length ? (
            <table className="small-table wide">
              <thead>
                <tr>
                  <th scope="col">{t("field.kind")}</th>
                  <th scope="col">{t("task.state")}</th>
                  <th scope="col">{t("task.by")}</th>
                  <th scope="col">{t("field.created")}</th>
                  <th scope="col">{t("task.ended")}</th>
                  <th scope="col">{t("task.message")}</th>
                </tr>
              </thead>
              <tbody>
                {list.rows.map((task) => (
                  <tr key={task.id}>
                    <td>{t(`task.kind.${task.kind}`, { defaultValue: task.kind })}</td>
                    <td>
                      <span className={`task task-${task.state}`}>{t(`task.states.${task.state}`, { defaultValue: task.state })}</span>
                    </td>
                    <td>
                      <Text value={task.created_by} />
                    </td>
                    <td>
                      <Age ms={task.created_ms} />
                    </td>
                    <td>{task.ended_ms == null ? "–" : <Age ms={task.ended_ms} />}</td>
                    <td>
                      <Text value={task.message} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          ) : (
            <div className="panel-body">
              <Empty title={t("task.none")}>{t("task.noneText")}</Empty>
            </div>
          )
        }
      </Loaded>
    </Panel>
  );
}
