import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { useSubclass } from "@/api/queries";
import { usePrefs } from "@/app/prefs";
import { display } from "@/lib/text";
import { Age } from "@/ui/Age";
import { PageHead } from "@/ui/PageHead";
import { Loaded } from "@/ui/States";
import { Text } from "@/ui/Text";
import { titleOf } from "@/ui/Value";
import { AssetBody, useAsset } from "./AssetBody";

/** One asset on a page of its own. */
export default function AssetPage() {
  const id = useParams().id ?? "";
  const { t } = useTranslation();
  const { language } = usePrefs();
  const navigate = useNavigate();
  const query = useAsset(id);
  const { entry } = useSubclass(query.data?.asset.subclass ?? "");
  const name = query.data ? query.data.asset.label || query.data.asset.key : t("asset.one");
  return (
    <div className="page page-narrow">
      <PageHead
        title={<Text value={name} />}
        tab={display(name)}
        crumbs={[
          { to: "/inventory", label: t("nav.assets") },
          ...(entry ? [{ to: `/inventory/${entry.id}`, label: titleOf(entry.title, language) }] : []),
        ]}
        sub={query.dataUpdatedAt > 0 && <Age ms={query.dataUpdatedAt} prefix={t("age.asOf")} />}
      />
      <Loaded query={query} rows={12}>
        {(detail) => (
          <section className="panel panel-body">
            <AssetBody detail={detail} onGo={(row) => void navigate(`/asset/${row.id}`)} />
          </section>
        )}
      </Loaded>
    </div>
  );
}
