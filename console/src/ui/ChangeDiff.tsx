import { useTranslation } from "react-i18next";
import type { Change, Column } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { titleOf, valueText } from "./Value";

/** Which fields changed, from what to what. */
export function ChangeDiff({ change, columns }: { change: Change; columns: readonly Column[] }) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  if (change.kind !== "changed") return null;
  const before = change.before ?? {};
  const after = change.after ?? {};
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const words = { yes: t("value.yes"), no: t("value.no") };
  return (
    <ul className="diff">
      {names.map((name) => {
        const column = columns.find((one) => one.name === name);
        return (
          <li key={name}>
            <span className="diff-field">{column ? titleOf(column.title, language) : name}</span>
            <del>{valueText(name, before[name], words)}</del>
            <span aria-hidden="true">→</span>
            <ins>{valueText(name, after[name], words)}</ins>
          </li>
        );
      })}
    </ul>
  );
}
