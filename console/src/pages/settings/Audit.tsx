import { useQuery } from "@tanstack/react-query";
import { Alert, Button } from "antd";
import { useTranslation } from "react-i18next";
import { ApiError, client, data } from "@/api/client";
import { usePaged } from "@/api/queries";
import type { AuditView } from "@/api/types";
import type { FilterField } from "@/lib/filter";
import { count } from "@/lib/format";
import { stamp } from "@/lib/time";
import { useUrl } from "@/lib/url";
import { DataTable, type Col } from "@/ui/DataTable";
import { ExportButton } from "@/ui/ExportButton";
import { FilterBar } from "@/ui/FilterBar";
import { ListFoot } from "@/ui/ListFoot";
import { Empty, Failed } from "@/ui/States";
import { Text } from "@/ui/Text";

/** Who changed what: a chain of hashes, and a button that walks it. */
export function Audit() {
  const { t } = useTranslation();
  const url = useUrl();
  const filter = url.get("q");
  const list = usePaged<AuditView>(["audit", filter], (cursor) =>
    data(client.GET("/api/v1/audit", { params: { query: { filter: filter || undefined, cursor, limit: 200 } } })),
  );
  const verify = useQuery({ queryKey: ["audit-verify"], queryFn: () => data(client.GET("/api/v1/audit/verify")), enabled: false, gcTime: 0 });
  const fields: FilterField[] = (["actor", "action", "target"] as const).map((name) => ({ name, kind: "str", title: t(`audit.${name}`) }));
  const columns: Col<AuditView>[] = [
    { id: "seq", title: "#", width: 64, align: "right", render: (row) => row.seq },
    { id: "at_ms", title: t("field.time"), width: 150, render: (row) => stamp(row.at_ms) },
    { id: "actor", title: t("audit.actor"), width: 150, render: (row) => <Text value={row.actor} /> },
    { id: "action", title: t("audit.action"), width: 150, render: (row) => <Text mono value={row.action} /> },
    { id: "target", title: t("audit.target"), width: 220, render: (row) => <Text mono value={row.target} /> },
    { id: "detail", title: t("audit.detail"), width: 300, render: (row) => <Text mono value={detail(row)} /> },
    { id: "hash", title: t("audit.hash"), width: 120, render: (row) => <code title={row.hash}>{row.hash.slice(0, 12)}</code> },
  ];
  const refused = list.query.error instanceof ApiError && list.query.error.status === 400 ? list.query.error : null;
  return (
    <div className="audit">
      <div className="toolbar">
        <FilterBar value={filter} fields={fields} onApply={(q) => url.set({ q })} refused={refused?.message} placeholder={t("audit.example")} />
        <ExportButton path="/api/v1/audit/export" title={t("settings.tab.audit")} params={{ filter }} columns={columns.map((column) => column.id)} />
        <Button onClick={() => void verify.refetch()} loading={verify.isFetching}>
          {t("audit.verify")}
        </Button>
      </div>
      {verify.data && (
        <Alert
          type={verify.data.intact ? "success" : "error"}
          showIcon
          title={verify.data.intact ? t("audit.intact", { n: count(verify.data.entries) }) : t("audit.broken", { n: String(verify.data.broken_at ?? "?") })}
          description={
            <>
              {t("audit.head")} <code className="break">{verify.data.head}</code>
            </>
          }
        />
      )}
      {verify.error && <Failed error={verify.error} />}
      {list.query.error && !refused && !list.rows.length ? (
        <Failed error={list.query.error} retry={() => void list.query.refetch()} />
      ) : (
        <DataTable<AuditView>
          label={t("settings.tab.audit")}
          columns={columns}
          rows={list.rows}
          rowKey={(row) => String(row.seq)}
          onEnd={list.loadMore}
          height="calc(100vh - 230px)"
          footer={<ListFoot list={list} />}
          empty={list.query.isPending ? null : <Empty title={t(filter ? "audit.noneFiltered" : "audit.none")} />}
        />
      )}
    </div>
  );
}

function detail(row: AuditView): string {
  return Object.entries(row.detail ?? {})
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
