import { Drawer } from "antd";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { AssetRow } from "@/api/types";
import { useSubclass } from "@/api/queries";
import { usePrefs } from "@/app/prefs";
import { useHotkeys } from "@/app/hotkeys";
import { AssetBody, useAsset } from "./AssetBody";
import { Failed, Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";

interface Props {
  id: string;
  onClose(): void;
  onGo(row: AssetRow): void;
}

/** The asset beside its list; a relation leads to the next one. */
export function AssetDrawer({ id, onClose, onGo }: Props) {
  const { t } = useTranslation();
  const { language } = usePrefs();
  const query = useAsset(id);
  const { entry } = useSubclass(query.data?.asset.subclass ?? "");
  useHotkeys([{ key: "Escape", label: "keys.close", run: onClose }], Boolean(id));
  return (
    <Drawer
      open={Boolean(id)}
      onClose={onClose}
      size={620}
      mask={false}
      title={
        query.data ? (
          <>
            <Text value={query.data.asset.label || query.data.asset.key} /> {entry && <span className="drawer-kind">{titleOf(entry.title, language)}</span>}
          </>
        ) : (
          t("asset.one")
        )
      }
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
