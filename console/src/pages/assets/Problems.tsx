import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useWorkload, useWorkloadChoices } from "@/api/queries";
import type { SubclassState } from "@/api/types";
import { link } from "@/lib/url";
import { Text } from "@/ui/Text";

/** Why a subclass is only partly known, and what mends it. */
export function Problems({ entry, workload }: { entry: SubclassState; workload: string }) {
  const { t } = useTranslation();
  const { data: choices } = useWorkloadChoices();
  const only = choices?.items.length === 1 ? choices.items[0]?.id : undefined;
  const home = workload || only || "";
  if (entry.state !== "partial" && entry.state !== "error") return null;
  return (
    <div className="notice" role="note">
      <b>{t(`assets.problems.${entry.state}`)}</b>
      {home ? <Told home={home} subclass={entry.id} /> : <Link to="/workloads">{t("assets.problems.where")}</Link>}
    </div>
  );
}

function Told({ home, subclass }: { home: string; subclass: string }) {
  const { t } = useTranslation();
  const { data } = useWorkload(home);
  const problems = data?.collections.find((one) => one.subclass === subclass)?.problems ?? [];
  return (
    <>
      {problems.slice(0, 2).map((problem, index) => (
        <span key={index}>
          <code>
            <Text value={problem.where} />
          </code>{" "}
          <Text value={problem.what} />
        </span>
      ))}
      <Link to={link(`/workloads/${home}`, { tab: "collections" })}>{t("workload.tab.collections")}</Link>
    </>
  );
}
