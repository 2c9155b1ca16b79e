import { Tabs } from "antd";
import { useTranslation } from "react-i18next";
import { LanguageChoice, ThemeChoice } from "@/app/Controls";
import { useMay, useMe } from "@/app/session";
import { useUrl } from "@/lib/url";
import { PageHead } from "@/ui/PageHead";
import { Panel } from "@/ui/Panel";
import { SavedViews } from "@/ui/SavedViews";
import { Audit } from "./Audit";
import { Certificate, Server } from "./System";
import { Tenants } from "./Tenants";
import { Tokens } from "./Tokens";
import { Users } from "./Users";

export default function Settings() {
  const { t } = useTranslation();
  const url = useUrl();
  const admin = useMay("admin");
  const { operator } = useMe();
  const tabs = ["look", "certificate", "server", ...(admin ? ["users", "tokens", "audit"] : []), ...(operator ? ["tenants"] : [])];
  const tab = tabs.includes(url.get("tab")) ? url.get("tab") : "look";
  return (
    <div className="page">
      <PageHead title={t("nav.settings")} actions={tab === "audit" && <SavedViews />} />
      <Tabs
        activeKey={tab}
        onChange={(key) => url.set({ tab: key === "look" ? null : key, q: null })}
        items={tabs.map((key) => ({ key, label: t(`settings.tab.${key}`) }))}
      />
      {tab === "look" && <Look />}
      {tab === "certificate" && <Certificate />}
      {tab === "server" && <Server />}
      {tab === "users" && <Users />}
      {tab === "tokens" && <Tokens />}
      {tab === "audit" && <Audit />}
      {tab === "tenants" && <Tenants />}
    </div>
  );
}

function Look() {
  const { t } = useTranslation();
  const me = useMe();
  return (
    <Panel title={t("settings.tab.look")}>
      <dl className="facts roomy">
        <div>
          <dt>{t("prefs.language")}</dt>
          <dd>
            <LanguageChoice />
          </dd>
        </div>
        <div>
          <dt>{t("prefs.theme")}</dt>
          <dd>
            <ThemeChoice />
          </dd>
        </div>
        <div>
          <dt>{t("settings.you")}</dt>
          <dd>
            {me.name} · {t(`role.${me.role}`)} · {t("nav.tenant", { tenant: me.tenant })}
          </dd>
        </div>
      </dl>
      <p className="muted">{t("settings.lookText")}</p>
    </Panel>
  );
}
