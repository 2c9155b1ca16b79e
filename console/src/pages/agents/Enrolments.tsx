import { useQueryClient } from "@tanstack/react-query";
import { App, Button } from "antd";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { EnrolmentView } from "@/api/types";
import { serverNow } from "@/lib/time";
import { Age, Until } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { ListFoot } from "@/ui/ListFoot";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";

/** Tokens that were made, and what became of each. */
export function Enrolments() {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const cache = useQueryClient();
  const list = usePaged<EnrolmentView>(["enrolments"], (cursor) => data(client.GET("/api/v1/enrolments", { params: { query: { cursor, limit: 100 } } })));
  const remove = async (id: string) => {
    try {
      await client.DELETE("/api/v1/enrolments/{enrolment_id}", { params: { path: { enrolment_id: id } } });
      await cache.invalidateQueries({ queryKey: ["enrolments"] });
    } catch (error) {
      notification.error({ title: t("enrol.notWithdrawn"), description: error instanceof Error ? error.message : String(error) });
    }
  };
  const open = (row: EnrolmentView) => row.used_ms == null && row.expires_ms > serverNow();
  const columns: Col<EnrolmentView>[] = [
    { id: "note", title: t("enrol.note"), width: 220, render: (row) => <Text value={row.note || "–"} /> },
    {
      id: "state",
      title: t("field.state"),
      width: 110,
      render: (row) => t(row.used_ms != null ? "enrol.used" : open(row) ? "enrol.open" : "age.expired"),
    },
    { id: "created_by", title: t("task.by"), width: 140, render: (row) => <Text value={row.created_by} /> },
    { id: "created_ms", title: t("field.created"), width: 120, render: (row) => <Age ms={row.created_ms} /> },
    { id: "expires_ms", title: t("enrol.expires"), width: 120, render: (row) => <Until ms={row.expires_ms} /> },
    { id: "used_by", title: t("enrol.usedBy"), width: 260, render: (row) => <Text mono value={row.used_by || "–"} /> },
    {
      id: "act",
      title: t("field.actions"),
      width: 110,
      render: (row) =>
        open(row) && (
          <Button size="small" onClick={() => void remove(row.id)}>
            {t("enrol.withdraw")}
          </Button>
        ),
    },
  ];
  if (list.query.error && !list.rows.length) return <Failed error={list.query.error} retry={() => void list.query.refetch()} />;
  return (
    <DataTable<EnrolmentView>
      label={t("agents.enrolments")}
      columns={columns}
      rows={list.rows}
      rowKey={(row) => row.id}
      onEnd={list.loadMore}
      footer={<ListFoot list={list} />}
      empty={list.query.isPending ? null : <Empty title={t("enrol.none")}>{t("enrol.noneText")}</Empty>}
    />
  );
}
