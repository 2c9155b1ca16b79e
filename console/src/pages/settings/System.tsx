import { useQuery } from "@tanstack/react-query";
import { Alert } from "antd";
import { useTranslation } from "react-i18next";
import { client, data } from "@/api/client";
import type { SystemView } from "@/api/types";
import { bytes, count } from "@/lib/format";
import { Age, Until } from "@/ui/Age";
import { Copyable } from "@/ui/Copy";
import { Panel } from "@/ui/Panel";
import { Empty, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";

function useSystem() {
  return useQuery({ queryKey: ["system"], queryFn: () => data(client.GET("/api/v1/system")), refetchInterval: 15_000 });
}

/** `ab:cd:..`, as browsers show a fingerprint. */
function fingerprint(hex: string): string {
  return (hex.toUpperCase().match(/../g) ?? []).join(":");
}

export function Certificate() {
  const { t } = useTranslation();
  const query = useSystem();
  return (
    <Loaded query={query} rows={8}>
      {(system) => (
        <div className="stack">
          <Panel title={t("cert.title")} asOf={query.dataUpdatedAt}>
            <dl className="facts roomy">
              <div>
                <dt>{t("cert.kind")}</dt>
                <dd>{t(system.own_certificate ? "cert.own" : "cert.hauberk")}</dd>
              </div>
              <div>
                <dt>{t("cert.names")}</dt>
                <dd>
                  <span className="chips">
                    {system.certificate_names.map((name) => (
                      <span key={name} className="chip mono">
                        {name}
                      </span>
                    ))}
                  </span>
                </dd>
              </div>
              <div>
                <dt>{t("cert.expires")}</dt>
                <dd>
                  <Until ms={system.certificate_expires_ms} />
                </dd>
              </div>
              <div>
                <dt>{t("cert.sha256")}</dt>
                <dd className="mono break">{fingerprint(system.certificate_sha256)}</dd>
              </div>
              <div>
                <dt>{t("cert.ca")}</dt>
                <dd className="mono break">{fingerprint(system.ca_sha256)}</dd>
              </div>
            </dl>
          </Panel>
          <Panel title={t("cert.warning")}>{system.own_certificate ? <p>{t("cert.ownText")}</p> : <Warning />}</Panel>
        </div>
      )}
    </Loaded>
  );
}

function Warning() {
  const { t } = useTranslation();
  return (
    <div className="prose">
      <p>{t("cert.why")}</p>
      <Alert type="info" showIcon title={t("cert.compare")} />
      <h3>{t("cert.trustTitle")}</h3>
      <p>{t("cert.trustText")}</p>
      <Copyable label={t("cert.trustTitle")} text="sudo cp ca.pem /usr/local/share/ca-certificates/hauberk.crt && sudo update-ca-certificates" />
      <p>{t("cert.trustBrowser")}</p>
      <h3>{t("cert.bringTitle")}</h3>
      <p>{t("cert.bringText")}</p>
      <Copyable label={t("cert.bringTitle")} text="HAUBERK_TLS_CERT=/etc/hauberk/chain.pem HAUBERK_TLS_KEY=/etc/hauberk/key.pem hauberk up" />
    </div>
  );
}

export function Server() {
  const query = useSystem();
  return (
    <Loaded query={query} rows={8}>
      {(system) => (
        <div className="columns-2">
          <div className="stack">
            <Facts system={system} asOf={query.dataUpdatedAt} />
            <Stores system={system} asOf={query.dataUpdatedAt} />
          </div>
          <div className="stack">
            <Members system={system} asOf={query.dataUpdatedAt} />
            <Partitions system={system} asOf={query.dataUpdatedAt} />
            <Jobs system={system} asOf={query.dataUpdatedAt} />
          </div>
        </div>
      )}
    </Loaded>
  );
}

interface Props {
  system: SystemView;
  asOf: number;
}

function Facts({ system, asOf }: Props) {
  const { t } = useTranslation();
  return (
    <Panel title={t("settings.tab.server")} asOf={asOf}>
      <dl className="facts">
        <div>
          <dt>{t("field.version")}</dt>
          <dd>{system.version}</dd>
        </div>
        <div>
          <dt>{t("server.started")}</dt>
          <dd>
            <Age ms={system.started_ms} />
          </dd>
        </div>
        <div>
          <dt>{t("server.user")}</dt>
          <dd>
            <code>{system.user}</code>{" "}
            <span className={system.unprivileged ? "good-text" : "bad-text"}>{t(system.unprivileged ? "server.unprivileged" : "server.privileged")}</span>
          </dd>
        </div>
        <div>
          <dt>{t("server.urls")}</dt>
          <dd>
            {system.urls.map((url) => (
              <div key={url} className="mono">
                {url}
              </div>
            ))}
          </dd>
        </div>
        <div>
          <dt>{t("server.inbox")}</dt>
          <dd>{t("server.inboxText", { items: count(system.inbox_items), bytes: bytes(system.inbox_bytes) })}</dd>
        </div>
        <div>
          <dt>{t("server.poison")}</dt>
          <dd className={system.poison ? "bad-text" : undefined}>{t("server.poisonText", { count: system.poison ?? 0, shown: count(system.poison ?? 0) })}</dd>
        </div>
      </dl>
    </Panel>
  );
}

function Stores({ system, asOf }: Props) {
  const { t } = useTranslation();
  return (
    <Panel title={t("server.stores")} asOf={asOf} flush>
      <table className="small-table wide">
        <thead>
          <tr>
            <th scope="col">{t("server.store")}</th>
            <th scope="col" className="num">
              {t("server.size")}
            </th>
            <th scope="col" className="num">
              {t("budget.rows")}
            </th>
            <th scope="col" className="num">
              {t("server.retention")}
            </th>
            <th scope="col" className="num">
              {t("server.left")}
            </th>
          </tr>
        </thead>
        <tbody>
          {system.stores.map((store) => (
            <tr key={store.name}>
              <td className="mono">{store.name}</td>
              <td className="num">{bytes(store.bytes)}</td>
              <td className="num">{store.rows == null ? "–" : count(store.rows)}</td>
              <td className="num">{store.retention_days == null ? t("server.forever") : t("unit.days", { count: store.retention_days })}</td>
              <td className="num">{store.days_left == null ? <span title={t("server.leftUnknown")}>–</span> : t("unit.days", { count: Math.floor(store.days_left) })}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

/** Processes that share this server's work. */
function Members({ system, asOf }: Props) {
  const { t } = useTranslation();
  const members = system.members ?? [];
  return (
    <Panel title={t("server.members")} asOf={asOf} flush={members.length > 0}>
      {members.length ? (
        <table className="small-table wide">
          <thead>
            <tr>
              <th scope="col">{t("server.process")}</th>
              <th scope="col">{t("field.state")}</th>
              <th scope="col">{t("field.version")}</th>
              <th scope="col">{t("server.started")}</th>
              <th scope="col">{t("server.consumes")}</th>
            </tr>
          </thead>
          <tbody>
            {members.map((member) => (
              <tr key={member.id}>
                <td>
                  <b>{t(`server.role.${member.role}`, { defaultValue: member.role })}</b>{" "}
                  <span className="muted mono">
                    <Text value={`${member.host}:${member.pid}`} />
                  </span>
                </td>
                <td>
                  <span className={`agent agent-${member.live ? "online" : "offline"}`}>
                    <span className="live-dot" aria-hidden="true" />
                    {member.live ? t("server.live") : <Age ms={member.seen_ms} prefix={t("server.silent")} />}
                  </span>
                </td>
                <td>
                  <Text value={member.version} />
                </td>
                <td>
                  <Age ms={member.started_ms} />
                </td>
                <td className="mono">{member.consumes ? (member.partitions ?? []).filter(Boolean).join(", ") || t("server.all") : "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <Empty title={t("server.noMembers")} />
      )}
    </Panel>
  );
}

/** The inbox, part by part: who empties it, and what waits. */
function Partitions({ system, asOf }: Props) {
  const { t } = useTranslation();
  const parts = system.partitions ?? [];
  const owner = (id: string) => {
    const member = (system.members ?? []).find((one) => one.id === id);
    return member ? `${member.host}:${member.pid}` : id;
  };
  return (
    <Panel title={t("server.partitions")} asOf={asOf} flush={parts.length > 0}>
      {parts.length ? (
        <table className="small-table wide">
          <thead>
            <tr>
              <th scope="col">{t("server.partition")}</th>
              <th scope="col">{t("server.owner")}</th>
              <th scope="col" className="num">
                {t("server.waiting")}
              </th>
              <th scope="col" className="num">
                {t("server.size")}
              </th>
              <th scope="col" className="num">
                {t("server.behind")}
              </th>
            </tr>
          </thead>
          <tbody>
            {parts.map((part) => (
              <tr key={part.name}>
                <td className="mono">{part.name || t("server.only")}</td>
                <td className="mono">{part.owner ? <Text value={owner(part.owner)} /> : <b className="bad-text">{t("server.nobody")}</b>}</td>
                <td className="num">{count(part.items)}</td>
                <td className="num">{bytes(part.bytes)}</td>
                <td className="num">
                  {Object.entries(part.behind)
                    .map(([name, number]) => `${t(`server.consumer.${name}`, { defaultValue: name })} ${count(number)}`)
                    .join(" · ") || "–"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <Empty title={t("server.noPartitions")} />
      )}
    </Panel>
  );
}

function Jobs({ system, asOf }: Props) {
  const { t } = useTranslation();
  return (
    <Panel title={t("server.jobs")} asOf={asOf} flush={system.jobs.length > 0}>
      {system.jobs.length ? (
        <table className="small-table wide">
          <thead>
            <tr>
              <th scope="col">{t("field.kind")}</th>
              <th scope="col">{t("task.state")}</th>
              <th scope="col">{t("server.started")}</th>
              <th scope="col">{t("task.ended")}</th>
              <th scope="col">{t("task.message")}</th>
            </tr>
          </thead>
          <tbody>
            {system.jobs.map((job) => (
              <tr key={job.id}>
                <td className="mono">{job.kind}</td>
                <td>
                  <span className={`task task-${job.state}`}>{t(`job.${job.state}`, { defaultValue: job.state })}</span>
                </td>
                <td>{job.started_ms == null ? "–" : <Age ms={job.started_ms} />}</td>
                <td>{job.ended_ms == null ? "–" : <Age ms={job.ended_ms} />}</td>
                <td>
                  <Text value={job.message} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <Empty title={t("server.noJobs")}>{t("server.noJobsText")}</Empty>
      )}
    </Panel>
  );
}
