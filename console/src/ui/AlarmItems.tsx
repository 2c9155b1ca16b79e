import { useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { client, data } from "@/api/client";
import type { AlarmView } from "@/api/types";
import { useMay } from "@/app/session";
import { count } from "@/lib/format";
import { link } from "@/lib/url";
import { Age } from "./Age";
import { Loaded } from "./States";
import { Text } from "./Text";
import { useChange } from "./useChange";

export function AlarmKind({ kind }: { kind: AlarmView["kind"] }) {
  const { t } = useTranslation();
  return (
    <span className="alarm-kind" title={t(`alarm.kind.${kind}.long`)}>
      {t(`alarm.kind.${kind}.short`)}
    </span>
  );
}

export function Acknowledge({ alarm }: { alarm: AlarmView }) {
  const { t } = useTranslation();
  const change = useChange(["alarms"]);
  if (!useMay("analyst") || alarm.acknowledged_by) return null;
  return (
    <Button
      size="small"
      aria-label={`${t("alarm.acknowledge")}: ${t(`alarm.kind.${alarm.kind}.short`)} ${alarm.what}`}
      onClick={(event) => {
        event.stopPropagation();
        void change(() => data(client.POST("/api/v1/alarms/{alarm_id}/acknowledge", { params: { path: { alarm_id: alarm.id } } })));
      }}
    >
      {t("alarm.acknowledge")}
    </Button>
  );
}

/** The first alarms that a filter leaves, with the rest a click away. */
export function AlarmItems({ filter, none, hosts = true }: { filter: string; none: string; hosts?: boolean }) {
  const { t } = useTranslation();
  const query = useQuery({
    queryKey: ["alarms", "items", filter],
    queryFn: () => data(client.GET("/api/v1/alarms", { params: { query: { filter, limit: 8 } } })),
    refetchInterval: 15_000,
  });
  return (
    <Loaded query={query}>
      {(page) => {
        const rest = (page.total ?? page.items.length) - page.items.length;
        if (!page.items.length) return <p className="muted">{none}</p>;
        return (
          <ul className="alarms">
            {page.items.map((alarm) => (
              <li key={alarm.id}>
                <AlarmKind kind={alarm.kind} />
                {hosts && (
                  <Link to={`/workloads/${alarm.workload}`}>
                    <Text value={alarm.hostname || alarm.workload} />
                  </Link>
                )}
                <span className="alarm-what" title={alarm.detail}>
                  <Text value={[alarm.what, alarm.detail].filter(Boolean).join(" · ")} />
                </span>
                <Age ms={alarm.since_ms} />
                {alarm.acknowledged_by ? (
                  <span className="muted">
                    {t("alarm.by")} <Text value={alarm.acknowledged_by} />
                  </span>
                ) : (
                  <Acknowledge alarm={alarm} />
                )}
              </li>
            ))}
            {rest > 0 && (
              <li>
                <Link to={link("/agents", { tab: "alarms", q: filter })}>{t("alarm.more", { count: rest, shown: count(rest) })}</Link>
              </li>
            )}
          </ul>
        );
      }}
    </Loaded>
  );
}
