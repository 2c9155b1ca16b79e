import { Button, Popconfirm } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { PackageView } from "@/api/types";
import { useMay } from "@/app/session";
import { quote } from "@/lib/filter";
import { bytes, count } from "@/lib/format";
import { link, useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { DataTable, type Col } from "@/ui/DataTable";
import { ListFoot } from "@/ui/ListFoot";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";
import { useChange } from "@/ui/useChange";
import { StartButton } from "./StartRollout";
import { UploadButton } from "./Upload";

/** Agent packages that this server's release key has signed. */
export function Packages() {
  const { t } = useTranslation();
  const url = useUrl();
  const admin = useMay("admin");
  const change = useChange(["packages"]);
  const sort = url.get("sort");
  const list = usePaged<PackageView>(
    ["packages", sort],
    (cursor) => data(client.GET("/api/v1/packages", { params: { query: { sort: sort || undefined, cursor, limit: 100 } } })),
    { refetchMs: 15_000 },
  );
  const columns: Col<PackageView>[] = [
    { id: "version", title: t("field.version"), width: 110, sortable: true, render: (row) => <b><Text value={row.version} /></b> },
    { id: "sequence", title: t("package.sequence"), width: 84, align: "right", sortable: true, hint: t("package.sequenceHint"), render: (row) => row.sequence },
    { id: "arch", title: t("field.arch"), width: 88, sortable: true, render: (row) => <Text value={row.arch} /> },
    { id: "size", title: t("server.size"), width: 90, align: "right", sortable: true, render: (row) => bytes(row.size) },
    {
      id: "agents",
      title: t("package.agents"),
      width: 100,
      align: "right",
      render: (row) => <Link to={link("/agents", { q: `package = ${quote(row.sha256, "str")}` })}>{count(row.agents ?? 0)}</Link>,
    },
    { id: "note", title: t("enrol.note"), width: 220, render: (row) => <span title={row.note}><Text value={row.note || "–"} /></span> },
    { id: "created_by", title: t("task.by"), width: 110, render: (row) => <Text value={row.created_by} /> },
    { id: "created_ms", title: t("field.created"), width: 104, sortable: true, render: (row) => <Age ms={row.created_ms} /> },
    { id: "sha256", title: "SHA-256", width: 150, render: (row) => <code title={row.sha256}>{row.sha256.slice(0, 16)}</code> },
    ...(admin
      ? [
          {
            id: "act",
            title: t("field.actions"),
            width: 204,
            render: (row: PackageView) => (
              <span className="row-actions">
                <StartButton sha256={row.sha256} small />
                <Popconfirm
                  title={t("package.deleteAsk", { version: row.version })}
                  description={<div className="confirm-text">{t("package.deleteText")}</div>}
                  okText={t("action.delete")}
                  cancelText={t("action.cancel")}
                  okButtonProps={{ danger: true }}
                  onConfirm={() => void change(() => client.DELETE("/api/v1/packages/{sha256}", { params: { path: { sha256: row.sha256 } } }))}
                >
                  <Button size="small" danger aria-label={`${t("action.delete")}: ${row.version} ${row.arch}`}>
                    {t("action.delete")}
                  </Button>
                </Popconfirm>
              </span>
            ),
          },
        ]
      : []),
  ];
  if (list.query.error && !list.rows.length) return <Failed error={list.query.error} retry={() => void list.query.refetch()} />;
  return (
    <DataTable<PackageView>
      label={t("agents.tab.packages")}
      columns={columns}
      rows={list.rows}
      rowKey={(row) => row.sha256}
      sort={sort}
      onSort={(next) => url.set({ sort: next })}
      onEnd={list.loadMore}
      footer={<ListFoot list={list} />}
      empty={
        list.query.isPending ? null : (
          <Empty title={t("package.none")} action={admin && <UploadButton />}>
            {t("package.noneText")}
          </Empty>
        )
      }
    />
  );
}
