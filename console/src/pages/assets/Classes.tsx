import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { useTaxonomy } from "@/api/queries";
import type { ClassState, SubclassState } from "@/api/types";
import { usePrefs, type Language } from "@/app/prefs";
import { count } from "@/lib/format";
import { link, useUrl } from "@/lib/url";
import { Age } from "@/ui/Age";
import { PageHead } from "@/ui/PageHead";
import { Loaded, StateTag } from "@/ui/States";
import { titleOf } from "@/ui/Value";
import { WorkloadSelect } from "@/ui/WorkloadSelect";

export default function Classes() {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const url = useUrl();
  const query = useTaxonomy();
  const { hash } = useLocation();
  const loaded = query.data !== undefined;
  useEffect(() => {
    if (loaded && hash) document.getElementById(hash.slice(1))?.scrollIntoView({ block: "start" });
  }, [hash, loaded]);
  const workload = url.get("workload");
  return (
    <div className="page">
      <PageHead
        title={t("nav.assets")}
        sub={
          <>
            {t("assets.sub")} {query.dataUpdatedAt > 0 && <Age ms={query.dataUpdatedAt} prefix={t("age.asOf")} />}
          </>
        }
        actions={<WorkloadSelect value={workload} onChange={(id) => url.set({ workload: id })} />}
      />
      <Loaded query={query} rows={10}>
        {(classes) => (
          <div className="classes">
            {classes.map((group) => (
              <Group key={group.id} group={group} language={language} workload={workload} />
            ))}
          </div>
        )}
      </Loaded>
    </div>
  );
}

function Group({ group, language, workload }: { group: ClassState; language: Language; workload: string }) {
  const { t } = useTranslation();
  const subs = group.subclasses ?? [];
  return (
    <section className="class" id={group.id} aria-labelledby={`${group.id}-title`}>
      <header>
        <h2 id={`${group.id}-title`}>{titleOf(group.title, language)}</h2>
        <span className="muted">{t("tile.looked", { looked: subs.filter((sub) => sub.rows != null).length, total: subs.length })}</span>
      </header>
      <ul>
        {subs.map((sub) => (
          <li key={sub.id}>
            <Sub sub={sub} language={language} workload={workload} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Sub({ sub, language, workload }: { sub: SubclassState; language: Language; workload: string }) {
  const { t } = useTranslation();
  const known = sub.rows != null;
  return (
    <Link className={`sub sub-${sub.state}`} to={link(`/inventory/${sub.id}`, { workload })} data-subclass={sub.id}>
      <span className="sub-title">{titleOf(sub.title, language)}</span>
      {known && <b>{count(sub.rows ?? 0)}</b>}
      {sub.state !== "assessed" && <StateTag state={sub.state} />}
      {known && (
        <span className="sub-note">
          {t("assets.onWorkloads", { count: sub.workloads })} · <Age ms={sub.oldest_ms} />
        </span>
      )}
    </Link>
  );
}
