import { PieChartOutlined } from "@ant-design/icons";
import { useQuery } from "@tanstack/react-query";
import { Button, Popover, Select } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Column } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { count } from "@/lib/format";
import type { Facet } from "@/lib/suggest";
import { Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";

interface Props {
  columns: readonly Column[];
  load(field: string): Promise<Facet[]>;
  onPick(field: string, value: Facet["value"]): void;
}

/** How the rows of the list split by one column; a press narrows the list. */
export function FacetPanel({ columns, load, onPick }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const usable = columns;
  const [field, setField] = useState(usable[0]?.name ?? "");
  const [open, setOpen] = useState(false);
  const content = (
    <div className="facets">
      <Select
        value={field}
        onChange={setField}
        aria-label={t("facet.field")}
        options={usable.map((column) => ({ value: column.name, label: titleOf(column.title, language) }))}
      />
      {open && field && <Values field={field} load={load} onPick={(value) => onPick(field, value)} />}
    </div>
  );
  return (
    <Popover content={content} trigger="click" placement="bottomRight" open={open} onOpenChange={setOpen}>
      <Button icon={<PieChartOutlined />} disabled={!usable.length}>
        {t("facet.button")}
      </Button>
    </Popover>
  );
}

function Values({ field, load, onPick }: { field: string; load: Props["load"]; onPick(value: Facet["value"]): void }) {
  const { t } = useTranslation();
  const query = useQuery({ queryKey: ["facet", field, load], queryFn: () => load(field), gcTime: 0 });
  return (
    <Loaded query={query}>
      {(values) => {
        const top = Math.max(1, ...values.map((one) => one.count));
        if (!values.length) return <p className="muted">{t("facet.none")}</p>;
        return (
          <ul className="facet-list">
            {values.map((one) => (
              <li key={String(one.value)}>
                <button type="button" onClick={() => onPick(one.value)}>
                  <span className="facet-fill" style={{ width: `${(one.count / top) * 100}%` }} />
                  <span className="facet-value">{one.value === "" ? <i>{t("value.empty")}</i> : <Text value={String(one.value)} />}</span>
                  <b>{count(one.count)}</b>
                </button>
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}
