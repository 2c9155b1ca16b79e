import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { EventRow, RoleCount } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { quote } from "@/lib/filter";
import { count } from "@/lib/format";
import { stamp } from "@/lib/time";
import { link } from "@/lib/url";
import { ShareBar, type Share } from "@/ui/Bars";
import { Empty } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";

const AGENT_TONE: Record<string, Share["tone"]> = {
  online: "good",
  late: "warn",
  offline: "bad",
  cloned: "bad",
  revoked: "idle",
};

export function AgentHealth({ agents }: { agents: Record<string, number> }) {
  const { t } = useTranslation();
  const shares = Object.keys(AGENT_TONE).map((id) => ({
    id,
    label: t(`agent.${id}`),
    count: agents[id] ?? 0,
    tone: AGENT_TONE[id] ?? "idle",
    to: link("/agents", { q: `state = ${id}` }),
  }));
  if (!shares.some((share) => share.count)) return <Empty title={t("overview.noAgents")}>{t("overview.noAgentsMend")}</Empty>;
  return <ShareBar shares={shares} label={t("overview.agents")} />;
}

const TIER_TONE: Record<string, Share["tone"]> = { A: "info", B: "info2", C: "info3", D: "warn", none: "idle" };

export function Tiers({ tiers }: { tiers: Record<string, number> }) {
  const { t } = useTranslation();
  const shares = Object.keys(TIER_TONE).map((id) => ({
    id,
    label: <span title={t(`tier.${id}.long`)}>{t(`tier.${id}.short`)}</span>,
    count: tiers[id] ?? 0,
    tone: TIER_TONE[id] ?? "idle",
    to: link("/agents", { q: `tier = ${id}` }),
  }));
  if (!shares.some((share) => share.count)) return <Empty unlit title={t("overview.noTiers")}>{t("overview.noTiersWhy")}</Empty>;
  return <ShareBar shares={shares} label={t("overview.tiers")} />;
}

export function BlindTime({ rows, watched }: { rows: EventRow[]; watched: boolean }) {
  const { t } = useTranslation();
  if (!rows.length) {
    return watched ? (
      <Empty title={t("overview.noBlind")}>{t("overview.noBlindText")}</Empty>
    ) : (
      <Empty unlit title={t("overview.noEvents")}>{t("overview.noEventsWhy")}</Empty>
    );
  }
  return (
    <ul className="log">
      {rows.slice(0, 8).map((row, index) => {
        const lost = Number(row.fields?.lost ?? -1);
        return (
          <li key={index}>
            <time>{stamp(row.time_ms)}</time>
            <Link to={link(`/workloads/${row.workload}`, { tab: "events", table: "blind_time" })}>
              <Text value={row.hostname || row.workload} />
            </Link>
            <b className="warn-text">{lost < 0 ? t("blind.unknown") : t("blind.lost", { n: count(lost) })}</b>
            <span className="log-text">
              <Text value={`${String(row.fields?.source ?? "")} ${String(row.fields?.reason ?? "")}`.trim()} />
            </span>
          </li>
        );
      })}
    </ul>
  );
}

export function Roles({ roles, looked }: { roles: readonly RoleCount[]; looked: boolean }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  if (!roles.length) {
    return (
      <Empty unlit={!looked} title={t(looked ? "overview.noRoles" : "overview.rolesUnknown")}>
        {t("overview.noRolesText")}
      </Empty>
    );
  }
  return (
    <ul className="roles">
      {roles.map(({ role, title, workloads }) => (
        <li key={role}>
          <Link className="chip" to={link("/workloads", { q: `role = ${quote(role, "list")}` })}>
            <Text value={titleOf(title, language)} /> <b>{count(workloads)}</b>
          </Link>
        </li>
      ))}
    </ul>
  );
}
