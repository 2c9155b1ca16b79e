import { useTranslation } from "react-i18next";
import type { ReactNode } from "react";
import type { AgentView, WorkloadDetail } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { bytes, count } from "@/lib/format";
import { Age, Until } from "@/ui/Age";
import { AgentState, currentAgent, TierTag } from "@/ui/AgentBits";
import { AlarmItems } from "@/ui/AlarmItems";
import { BudgetFacts } from "@/ui/BudgetFacts";
import { PackageFacts } from "@/ui/PackageFacts";
import { Panel } from "@/ui/Panel";
import { quote } from "@/lib/filter";
import { Empty } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";
import { BudgetPanel } from "./BudgetPanel";

export function Summary({ detail, asOf }: { detail: WorkloadDetail; asOf: number }) {
  const { t } = useTranslation();
  const agent = currentAgent(detail.workload.agents ?? []);
  return (
    <div className="columns-2">
      <div className="stack">
        <Identity detail={detail} asOf={asOf} />
        <RolePanel detail={detail} asOf={asOf} />
      </div>
      <div className="stack">
        <SensorPanel agent={agent} />
        <Panel title={t("alarm.openTitle")} asOf={asOf}>
          <AlarmItems filter={`workload = ${quote(detail.workload.id, "str")} and open = true`} none={t("alarm.noneOpen")} hosts={false} />
        </Panel>
        <BudgetPanel detail={detail} agent={agent} asOf={asOf} />
        {agent && (
          <Panel title={t("budget.stateTitle")} asOf={agent.last_beat_ms}>
            <BudgetFacts agent={agent} />
          </Panel>
        )}
        {agent && (
          <Panel title={t("slot.title")} asOf={agent.last_beat_ms}>
            <PackageFacts agent={agent} />
          </Panel>
        )}
        {(detail.workload.agents ?? []).length > 1 && (
          <Panel title={t("workload.agents")} asOf={asOf}>
            <ul className="log">
              {(detail.workload.agents ?? []).map((one) => (
                <li key={one.id}>
                  <AgentState state={one.state} /> <code>{one.id}</code> <Age ms={one.last_beat_ms} />
                </li>
              ))}
            </ul>
          </Panel>
        )}
      </div>
    </div>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Identity({ detail, asOf }: { detail: WorkloadDetail; asOf: number }) {
  const { t } = useTranslation();
  const { workload } = detail;
  const { facts } = workload;
  const text = (value: string) => (value ? <Text value={value} /> : <span className="muted">–</span>);
  return (
    <Panel title={t("workload.identity")} asOf={asOf}>
      <dl className="facts">
        <Fact label={t("field.hostname")}>{text(facts.hostname)}</Fact>
        <Fact label={t("field.os")}>{text(`${facts.os} ${facts.os_version}`.trim())}</Fact>
        <Fact label={t("field.kernel")}>{text(`${facts.kernel} ${facts.arch}`.trim())}</Fact>
        <Fact label={t("field.machine")}>{t(`machine.${facts.kind}`)}</Fact>
        <Fact label={t("field.resources")}>{t("workload.size", { cpus: facts.cpus, memory: bytes(facts.memory_bytes) })}</Fact>
        <Fact label={t("field.addresses")}>
          {facts.addresses.length ? facts.addresses.map((address) => <div key={address} className="mono">{address}</div>) : "–"}
        </Fact>
        <Fact label={t("field.site")}>{text(workload.site)}</Fact>
        <Fact label={t("field.machine_id")}>
          <span className="mono">{text(facts.machine_id)}</span>
        </Fact>
        <Fact label={t("field.workload_id")}>
          <code>{workload.id}</code>
        </Fact>
        <Fact label={t("field.created")}>
          <Age ms={workload.created_ms} />
        </Fact>
      </dl>
    </Panel>
  );
}

function RolePanel({ detail, asOf }: { detail: WorkloadDetail; asOf: number }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const roles = detail.workload.roles ?? [];
  return (
    <Panel title={t("workload.roles")} asOf={asOf}>
      {roles.length ? (
        <ul className="role-list">
          {roles.map((role) => (
            <li key={role.role}>
              <div className="role-head">
                <b>{titleOf(role.title, language)}</b>
                <span className="role-bar" title={t("workload.confidence", { n: role.confidence })}>
                  <span style={{ width: `${role.confidence}%` }} />
                </span>
                <span className="muted">{role.confidence}%</span>
              </div>
              <ul className="evidence">
                {(role.evidence ?? []).map((line, index) => (
                  <li key={index}>
                    <Text value={line} />
                  </li>
                ))}
              </ul>
            </li>
          ))}
        </ul>
      ) : (
        <Empty title={t("overview.noRoles")}>{t("overview.noRolesText")}</Empty>
      )}
    </Panel>
  );
}

function SensorPanel({ agent }: { agent: AgentView | undefined }) {
  const { t } = useTranslation();
  const sensor = agent?.sensor;
  return (
    <Panel title={t("workload.sensor")} asOf={agent?.last_beat_ms}>
      {agent && sensor ? (
        <>
          <p>
            <TierTag tier={sensor.tier} /> {t(`tier.${sensor.tier}.long`)}
          </p>
          <dl className="facts">
            <Fact label={t("workload.sources")}>
              <span className="chips">
                {sensor.sources.map((source) => (
                  <span key={source} className="chip mono">
                    <Text value={source} />
                  </span>
                ))}
              </span>
            </Fact>
            <Fact label={t("workload.eventsSeen")}>{count(sensor.events)}</Fact>
            <Fact label={t("workload.eventsLost")}>
              <b className={sensor.lost ? "bad-text" : "good-text"}>{count(sensor.lost)}</b>
            </Fact>
            {sensor.reasons.length > 0 && (
              <Fact label={t("workload.reasons")}>
                {sensor.reasons.map((reason, index) => (
                  <div key={index}>
                    <Text value={reason} />
                  </div>
                ))}
              </Fact>
            )}
            <Fact label={t("field.version")}>
              <Text value={agent.version} />
            </Fact>
            <Fact label={t("workload.skew")}>{agent.skew_ms == null ? "–" : `±${count(Math.abs(agent.skew_ms))} ms`}</Fact>
            <Fact label={t("agents.certificate")}>{agent.certificate_expires_ms ? <Until ms={agent.certificate_expires_ms} /> : "–"}</Fact>
          </dl>
        </>
      ) : (
        <Empty unlit title={t("workload.noSensor")}>
          {t("workload.noSensorText")}
        </Empty>
      )}
    </Panel>
  );
}
