import { TableOutlined } from "@ant-design/icons";
import { Button, Checkbox, Popover } from "antd";
import { useTranslation } from "react-i18next";
import type { Column } from "@/api/types";
import { usePrefs } from "@/app/prefs";
import { titleOf } from "@/ui/Value";

interface Props {
  columns: readonly Column[];
  value: string[];
  onChange(cols: string | null): void;
}

export function ColumnChooser({ columns, value, onChange }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const content = (
    <div className="chooser">
      <Checkbox.Group
        value={value}
        onChange={(names) => onChange(names.length ? columns.map((column) => column.name).filter((name) => names.includes(name)).join(",") : null)}
        options={columns.map((column) => ({ value: column.name, label: titleOf(column.title, language) }))}
      />
      <Button size="small" onClick={() => onChange(null)}>
        {t("list.defaultColumns")}
      </Button>
    </div>
  );
  return (
    <Popover content={content} trigger="click" placement="bottomRight">
      <Button icon={<TableOutlined />}>{t("list.columns")}</Button>
    </Popover>
  );
}
