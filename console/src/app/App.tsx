import { App as AntApp, ConfigProvider } from "antd";
import enUS from "antd/locale/en_US";
import zhCN from "antd/locale/zh_CN";
import { lazy, useEffect, useLayoutEffect, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Route, Routes } from "react-router";
import { Empty, Failed } from "@/ui/States";
import { Login } from "./Login";
import { PAGES } from "./page";
import { useDark, usePrefs } from "./prefs";
import { MeContext, useSession } from "./session";
import { Shell } from "./Shell";
import { applyPalette, themeConfig } from "./theme";

const ROUTES = PAGES.flatMap((page) =>
  page.routes.map((route) => ({ path: route.path, roles: page.roles, View: lazy(route.load) })),
);

export function App() {
  const dark = useDark();
  const { language } = usePrefs();
  const { i18n } = useTranslation();
  const theme = useMemo(() => themeConfig(dark, language), [dark, language]);
  useLayoutEffect(() => applyPalette(dark, language), [dark, language]);
  useEffect(() => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    void i18n.changeLanguage(language);
  }, [language, i18n]);
  return (
    <ConfigProvider theme={theme} locale={language === "zh" ? zhCN : enUS} wave={{ disabled: true }} button={{ autoInsertSpace: false }}>
      <AntApp className="app">
        <Gate />
      </AntApp>
    </ConfigProvider>
  );
}

function Gate() {
  const session = useSession();
  const { t } = useTranslation();
  if (session.error) {
    return (
      <main className="login">
        <Failed error={session.error} retry={() => void session.refetch()} />
      </main>
    );
  }
  if (session.data === undefined) return null;
  if (session.data === null) return <Login />;
  const { role } = session.data;
  return (
    <MeContext value={session.data}>
      <Routes>
        <Route element={<Shell />}>
          {ROUTES.filter((route) => !route.roles || route.roles.includes(role)).map(({ path, View }) => (
            <Route key={path} path={path} element={<View />} />
          ))}
          <Route
            path="*"
            element={
              <div className="page">
                <Empty title={t("error.noPage")}>{t("error.noPageMend")}</Empty>
              </div>
            }
          />
        </Route>
      </Routes>
    </MeContext>
  );
}
