import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { ClassState, SubclassState } from "@/api/types";
import type { Language } from "@/app/prefs";
import { count } from "@/lib/format";
import { Age } from "./Age";
import { NotAssessed } from "./States";
import { titleOf } from "./Value";

/** The nine classes. The strip has one cell a subclass: filled where somebody looked. */
export function ClassTiles({ classes, language }: { classes: ClassState[]; language: Language }) {
  return (
    <div className="tiles">
      {classes.map((one) => (
        <Tile key={one.id} group={one} language={language} />
      ))}
      <Legend />
    </div>
  );
}

const STATES = ["assessed", "partial", "error", "not_assessed", "not_collected"] as const;

function Legend() {
  const { t } = useTranslation();
  return (
    <div className="tile tile-legend">
      <span className="tile-title">{t("tile.legend")}</span>
      <ul>
        {STATES.map((state) => (
          <li key={state}>
            <span className={`cell cell-${state}`} aria-hidden="true" /> {t(`state.${state}`)}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Tile({ group, language }: { group: ClassState; language: Language }) {
  const { t } = useTranslation();
  const subs = group.subclasses ?? [];
  const looked = subs.filter((sub) => sub.rows != null).length;
  const oldest = Math.min(...subs.map((sub) => sub.oldest_ms ?? Infinity));
  return (
    <Link className={`tile ${looked ? "" : "unlit"}`} to={`/inventory#${group.id}`} data-class={group.id}>
      <span className="tile-title">{titleOf(group.title, language)}</span>
      <span className="tile-value">{group.rows == null ? <NotAssessed /> : count(group.rows)}</span>
      <Strip subs={subs} language={language} />
      <span className="tile-note">
        <span>{t("tile.looked", { looked, total: subs.length })}</span>
        {Number.isFinite(oldest) && <Age ms={oldest} />}
      </span>
    </Link>
  );
}

export function Strip({ subs, language }: { subs: SubclassState[]; language: Language }) {
  const { t } = useTranslation();
  return (
    <span className="strip" aria-hidden="true">
      {subs.map((sub) => (
        <span key={sub.id} className={`cell cell-${sub.state}`} title={`${titleOf(sub.title, language)}: ${t(`state.${sub.state}`)}`} />
      ))}
    </span>
  );
}
