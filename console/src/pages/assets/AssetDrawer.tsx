import { Drawer } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { AssetRow } from "@/api/types";
import { useHotkeys } from "@/app/hotkeys";
import { AssetBody, useAsset } from "./AssetBody";
import { Failed, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";

interface Props {
  id: string;
  onClose(): void;
  onGo(row: AssetRow): void;
}

/** The asset beside its list; a relation leads to the next one. */
export function AssetDrawer({ id, onClose, onGo }: Props) {
  const { t } = useTranslation();
  const query = useAsset(id);
  useHotkeys([{ key: "Escape", label: "keys.close", run: onClose }], Boolean(id));
  return (
    <Drawer
      open={Boolean(id)}
      onClose={onClose}
      size={620}
      mask={false}
      title={query.data ? <Text value={query.data.asset.label || query.data.asset.key} /> : t("asset.one")}
      extra={id && <Link to={`/asset/${id}`}>{t("asset.permalink")}</Link>}
      destroyOnHidden
    >
      {query.error && query.data === undefined ? (
        <Failed error={query.error} retry={() => void query.refetch()} />
      ) : (
        <Loaded query={query} rows={10}>
          {(detail) => <AssetBody detail={detail} onGo={onGo} />}
        </Loaded>
      )}
    </Drawer>
  );
}
