import { DownloadOutlined } from "@ant-design/icons";
import { Button, Dropdown } from "antd";
import { useTranslation } from "react-i18next";
import { download } from "@/app/downloads";
import { usePrefs } from "@/app/prefs";
import { exportAddress, FORMATS } from "@/lib/export";

interface Props {
  path: string;
  /** What is exported, in the words of the screen. */
  title: string;
  /** The same scope as the list on the screen. */
  params: Record<string, string | number | boolean | undefined>;
  /** The columns of the screen, in its order. */
  columns: readonly string[];
}

/** Every row of the list as the screen shows it: same filter, order, columns and words. */
export function ExportButton({ path, title, params, columns }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const items = FORMATS.map((format) => ({ key: format, label: t(`export.${format}`) }));
  return (
    <Dropdown
      menu={{ items, onClick: ({ key }) => void download(title, key, exportAddress(path, params, { format: key, language, columns, zone })) }}
      trigger={["click"]}
    >
      <Button icon={<DownloadOutlined />}>{t("export.button")}</Button>
    </Dropdown>
  );
}
