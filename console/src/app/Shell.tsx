import { LogoutOutlined, QuestionOutlined } from "@ant-design/icons";
import { Modal } from "antd";
import { Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, Outlet } from "react-router";
import { Mark } from "@/ui/Mark";
import { LanguageSwitch, ThemeSwitch } from "./Controls";
import { ErrorBoundary } from "./ErrorBoundary";
import { activeHotkeys, useHotkeys, type Hotkey } from "./hotkeys";
import { PAGES } from "./page";
import { useMe, useSignOut } from "./session";

export function Shell() {
  const { t } = useTranslation();
  const me = useMe();
  const signOut = useSignOut();
  const [help, setHelp] = useState<Hotkey[] | null>(null);
  useHotkeys([{ key: "?", label: "keys.help", run: () => setHelp(activeHotkeys()) }]);
  const pages = PAGES.filter((page) => !page.roles || page.roles.includes(me.role));

  return (
    <div className="shell">
      <a className="skip" href="#main">
        {t("nav.skip")}
      </a>
      <aside className="side">
        <div className="brand">
          <Mark />
          <div>
            <strong>Hauberk</strong>
            <span>{t("brand.line")}</span>
          </div>
        </div>
        <nav aria-label={t("nav.label")}>
          <ul>
            {pages.map((page, index) => {
              const before = pages[index - 1];
              const apart = before && Math.floor(before.order / 10) !== Math.floor(page.order / 10);
              const path = page.routes[0]?.path ?? "/";
              return (
                <li key={path} className={apart ? "apart" : undefined}>
                  <NavLink to={path} end={path === "/"} title={t(page.title)}>
                    <page.icon />
                    <span>{t(page.title)}</span>
                  </NavLink>
                </li>
              );
            })}
          </ul>
        </nav>
        <div className="side-foot">
          <div className="who" title={t("nav.tenant", { tenant: me.tenant })}>
            <span className="who-name">{me.name}</span>
            <span className="who-role">
              {t(`role.${me.role}`)} · {me.tenant}
            </span>
          </div>
          <div className="side-tools">
            <LanguageSwitch />
            <ThemeSwitch />
            <button type="button" className="quiet" title={t("keys.help")} aria-label={t("keys.help")} onClick={() => setHelp(activeHotkeys())}>
              <QuestionOutlined />
            </button>
            {me.via === "session" && (
              <button type="button" className="quiet" title={t("nav.signOut")} aria-label={t("nav.signOut")} onClick={() => void signOut()}>
                <LogoutOutlined />
              </button>
            )}
          </div>
        </div>
      </aside>
      <main id="main" className="main" tabIndex={-1}>
        <ErrorBoundary>
          <Suspense fallback={<div className="page" aria-busy="true" />}>
            <Outlet />
          </Suspense>
        </ErrorBoundary>
      </main>
      <Modal open={help !== null} onCancel={() => setHelp(null)} footer={null} title={t("keys.help")} width={380}>
        <dl className="keys">
          {unique([...(help ?? []), { key: "Esc", label: "keys.close", run: () => undefined }]).map((hotkey) => (
            <div key={hotkey.key}>
              <dt>
                <kbd>{hotkey.key}</kbd>
              </dt>
              <dd>{t(hotkey.label)}</dd>
            </div>
          ))}
        </dl>
      </Modal>
    </div>
  );
}

function unique(keys: Hotkey[]): Hotkey[] {
  return [...new Map(keys.map((hotkey) => [hotkey.key, hotkey])).values()];
}
