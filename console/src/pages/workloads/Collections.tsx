import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useTaxonomy } from "@/api/queries";
import type { WorkloadDetail } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { useMay } from "@/app/session";
import { count } from "@/lib/format";
import { duration } from "@/lib/time";
import { link } from "@/lib/url";
import { Age } from "@/ui/Age";
import { Panel } from "@/ui/Panel";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";
import { CollectNow } from "./CollectNow";

/** How the last look at each subclass went; what was never looked at stands there as well. */
export function Collections({ detail, asOf }: { detail: WorkloadDetail; asOf: number }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const analyst = useMay("analyst");
  const { data: classes } = useTaxonomy();
  const done = new Map(detail.collections.map((one) => [one.subclass, one]));
  const all = classes?.flatMap((one) => one.subclasses ?? []) ?? [];
  return (
    <Panel title={t("workload.tab.collections")} asOf={asOf} flush>
      <table className="small-table wide">
        <thead>
          <tr>
            <th scope="col">{t("field.subclass")}</th>
            <th scope="col">{t("collection.outcome")}</th>
            <th scope="col" className="num">
              {t("collection.rows")}
            </th>
            <th scope="col">{t("collection.ended")}</th>
            <th scope="col" className="num">
              {t("budget.cpu")}
            </th>
            <th scope="col">{t("collection.problems")}</th>
            <th scope="col">
              <span className="sr">{t("task.collect")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {all.map((sub) => {
            const one = done.get(sub.id);
            const name = titleOf(sub.title, language);
            if (!one) {
              return (
                <tr key={sub.id} className="unlit-row">
                  <td>{name}</td>
                  <td colSpan={6}>
                    <span className={`state state-${sub.state === "not_collected" ? "not_collected" : "not_assessed"}`}>
                      {t(`state.${sub.state === "not_collected" ? "not_collected" : "not_assessed"}`)}
                    </span>
                  </td>
                </tr>
              );
            }
            return (
              <tr key={sub.id}>
                <td>
                  <Link to={link(`/inventory/${sub.id}`, { workload: detail.workload.id })}>{name}</Link>
                </td>
                <td>
                  <span className={`outcome outcome-${one.outcome}`}>{t(`outcome.${one.outcome}`)}</span>
                </td>
                <td className="num">{count(one.rows)}</td>
                <td>
                  <Age ms={one.ended_ms} />
                </td>
                <td className="num">{duration(one.cpu_s)}</td>
                <td>
                  {(one.problems ?? []).map((problem, index) => (
                    <div key={index} className="problem">
                      <code>
                        <Text value={problem.where} />
                      </code>{" "}
                      <Text value={problem.what} />
                    </div>
                  ))}
                </td>
                <td>{analyst && <CollectNow workload={detail.workload.id} subclasses={[sub.id]} small />}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Panel>
  );
}
