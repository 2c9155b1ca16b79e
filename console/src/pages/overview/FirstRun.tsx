import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Overview } from "@/api/types";
import { setPrefs } from "@/app/prefs";
import { useMay } from "@/app/session";
import { EnrolButton } from "@/ui/Enrol";

/** What to do and what to expect on the first day. */
export function FirstRun({ data }: { data: Overview }) {
  const { t } = useTranslation();
  const admin = useMay("admin");
  const subclasses = data.assets.flatMap((one) => one.subclasses ?? []);
  const looked = subclasses.filter((sub) => sub.rows != null).length;
  const dark = subclasses.filter((sub) => sub.state === "not_collected").length;
  return (
    <section className="first" aria-label={t("first.label")}>
      <article>
        <h2>{t("first.enrol")}</h2>
        <p>{t(data.workloads > 0 ? "first.enrolMore" : "first.enrolText")}</p>
        {admin ? <EnrolButton /> : <p className="muted">{t("first.askAdmin")}</p>}
      </article>
      <article>
        <h2>{t("first.watched")}</h2>
        <p>{looked ? t("first.watchedText", { looked, total: subclasses.length }) : t("first.watchedNone")}</p>
        <Link to="/inventory">{t("overview.allAssets")}</Link>
      </article>
      <article className="unlit">
        <h2>{t("first.dark")}</h2>
        <p>{t("first.darkText", { count: dark })}</p>
        <p className="muted">{t("first.hatchMeaning")}</p>
        {!data.first_run && (
          <button type="button" className="as-link" onClick={() => setPrefs({ firstStepsHidden: true })}>
            {t("first.hide")}
          </button>
        )}
      </article>
    </section>
  );
}
