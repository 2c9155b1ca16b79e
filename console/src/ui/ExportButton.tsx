import { DownloadOutlined } from "@ant-design/icons";
import { Button, Dropdown } from "antd";
import { useTranslation } from "react-i18next";
import { link } from "@/lib/url";

interface Props {
  path: string;
  /** The same scope as the list on the screen. */
  params: Record<string, string | undefined>;
}

/** Every row of the list, streamed by the server. */
export function ExportButton({ path, params }: Props) {
  const { t } = useTranslation();
  const items = ["csv", "json"].map((format) => ({
    key: format,
    label: (
      <a href={link(path, { ...params, format })} download>
        {t(`export.${format}`)}
      </a>
    ),
  }));
  return (
    <Dropdown menu={{ items }} trigger={["click"]}>
      <Button icon={<DownloadOutlined />}>{t("export.button")}</Button>
    </Dropdown>
  );
}
