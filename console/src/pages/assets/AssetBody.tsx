import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { client, data } from "@/api/client";
import { useTaxonomy } from "@/api/queries";
import type { AssetDetail, AssetRow, Edge } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { Age } from "@/ui/Age";
import { ChangeDiff } from "@/ui/ChangeDiff";
import { Empty } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf, Value } from "@/ui/Value";

export function useAsset(id: string) {
  return useQuery({
    queryKey: ["asset", id],
    queryFn: () => data(client.GET("/api/v1/asset/{asset_id}", { params: { path: { asset_id: id } } })),
    enabled: Boolean(id),
  });
}

/** All fields, relations and history of one asset. */
export function AssetBody({ detail, onGo }: { detail: AssetDetail; onGo(row: AssetRow): void }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { asset, columns, edges, changes } = detail;
  return (
    <div className="asset">
      <dl className="facts">
        {columns.map((column) => (
          <div key={column.name}>
            <dt title={column.doc || column.name}>{titleOf(column.title, language)}</dt>
            <dd>
              <Value column={column} value={asset.fields?.[column.name]} />
            </dd>
          </div>
        ))}
      </dl>
      <dl className="facts facts-meta">
        <div>
          <dt>{t("field.hostname")}</dt>
          <dd>
            <Link to={`/workloads/${asset.workload}`}>
              <Text value={asset.hostname || asset.workload} />
            </Link>
          </dd>
        </div>
        {(["first_seen_ms", "changed_ms", "last_seen_ms"] as const).map((name) => (
          <div key={name}>
            <dt>{t(`field.${name}`)}</dt>
            <dd>
              <Age ms={asset[name]} />
            </dd>
          </div>
        ))}
        {asset.gone_ms != null && (
          <div>
            <dt>{t("assets.goneSince")}</dt>
            <dd>
              <Age ms={asset.gone_ms} />
            </dd>
          </div>
        )}
      </dl>
      <h3>{t("asset.relations")}</h3>
      {edges.length ? <Relations edges={edges} onGo={onGo} /> : <Empty title={t("asset.noRelations")}>{t("asset.noRelationsText")}</Empty>}
      <h3>{t("asset.history")}</h3>
      {changes.length ? (
        <ol className="history">
          {changes.map((change) => (
            <li key={change.seq}>
              <span className={`change change-${change.kind}`}>{t(`change.${change.kind}`)}</span> <Age ms={change.at_ms} />
              <ChangeDiff change={change} columns={columns} />
            </li>
          ))}
        </ol>
      ) : (
        <Empty title={t("asset.noHistory")}>{t("asset.noHistoryText")}</Empty>
      )}
    </div>
  );
}

function Relations({ edges, onGo }: { edges: Edge[]; onGo(row: AssetRow): void }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const { data: classes } = useTaxonomy();
  const titles = new Map(classes?.flatMap((one) => one.subclasses ?? []).map((sub) => [sub.id, titleOf(sub.title, language)]));
  return (
    <ul className="edges">
      {edges.map((edge, index) => {
        const asset = edge.asset;
        const name = <Text value={asset?.label || edge.key.replaceAll("\u001f", " · ")} />;
        return (
          <li key={index}>
            <span className="edge-kind">
              <span aria-hidden="true">{edge.direction === "out" ? "→" : "←"}</span> {t(`edge.${edge.direction}.${edge.kind}`)}
            </span>
            <span className="edge-what">
              <span className="muted">{titles.get(edge.subclass) ?? edge.subclass}</span>{" "}
              {asset ? (
                <button type="button" className="as-link" onClick={() => onGo(asset)}>
                  {name}
                </button>
              ) : (
                <span title={t("asset.unresolved")}>{name}</span>
              )}
              {edge.evidence && (
                <span className="edge-why">
                  <Text value={edge.evidence} />
                </span>
              )}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
