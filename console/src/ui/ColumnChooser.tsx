import { TableOutlined } from "@ant-design/icons";
import { Button, Checkbox, Popover } from "antd";
import { useTranslation } from "react-i18next";

interface Named {
  id: string;
  title: string;
}

interface Props {
  columns: readonly Named[];
  value: readonly string[];
  onChange(cols: string | null): void;
}

/** Which columns the table shows; the choice lives in the address as `cols`. */
export function ColumnChooser({ columns, value, onChange }: Props) {
  const { t } = useTranslation();
  const choose = (names: string[]) => onChange(names.length ? columns.map((column) => column.id).filter((name) => names.includes(name)).join(",") : null);
  const content = (
    <div className="chooser">
      <Checkbox.Group value={[...value]} onChange={choose} options={columns.map((column) => ({ value: column.id, label: column.title }))} />
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
