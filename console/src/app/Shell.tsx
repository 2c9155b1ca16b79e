import { LogoutOutlined, QuestionOutlined, SearchOutlined } from "@ant-design/icons";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { NavLink, Outlet, useLocation, useNavigate } from "react-router";
import { Mark } from "@/ui/Mark";
import { useOrder } from "@/ui/useOrder";
import { AlarmBadge } from "./AlarmBadge";
import { LanguageSwitch, ThemeSwitch } from "./Controls";
import { ErrorBoundary } from "./ErrorBoundary";
import { Help } from "./Help";
import { activeHotkeys, useHotkeys, type Hotkey } from "./hotkeys";
import { homeOf, PAGES } from "./page";
import Palette, { type Action } from "./Palette";
import { may, useMe, useSignOut } from "./session";
import { Tray } from "./Tray";
import { useUrl } from "@/lib/url";

const RunDrawer = lazy(() => import("./RunDrawer"));
const EnrolDialog = lazy(async () => ({ default: (await import("@/ui/Enrol")).EnrolDialog }));

export function Shell() {
  const { t } = useTranslation();
  const me = useMe();
  const signOut = useSignOut();
  const [help, setHelp] = useState<Hotkey[] | null>(null);
  const [palette, setPalette] = useState(false);
  const [enrol, setEnrol] = useState(false);
  const pages = useMemo(() => PAGES.filter((page) => !page.roles || page.roles.includes(me.role)), [me.role]);
  const navigate = useNavigate();
  const run = useUrl().get("run");
  useHotkeys([
    { key: "k", label: "keys.palette", control: true, run: () => setPalette((now) => !now) },
    { key: "?", label: "keys.help", run: () => setHelp(activeHotkeys()) },
    ...pages.flatMap((page) => (page.letter ? [{ key: `g ${page.letter}`, label: page.title, run: () => void navigate(homeOf(page)) }] : [])),
  ]);
  const actions = useActions({ help: () => setHelp(activeHotkeys()), enrol: () => setEnrol(true), signOut: () => void signOut() });
  const closePalette = useCallback(() => setPalette(false), []);

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
        <button type="button" className="side-search" onClick={() => setPalette(true)} data-testid="palette" title={t("palette.title")}>
          <SearchOutlined />
          <span>{t("palette.open")}</span>
          <kbd>Ctrl K</kbd>
        </button>
        <nav aria-label={t("nav.label")}>
          <ul>
            {pages.map((page, index) => {
              const before = pages[index - 1];
              const apart = before && Math.floor(before.order / 10) !== Math.floor(page.order / 10);
              const path = homeOf(page);
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
          <div className="side-status">
            <AlarmBadge />
            <Tray />
          </div>
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
      {run && (
        <Suspense fallback={null}>
          <RunDrawer />
        </Suspense>
      )}
      {palette && <Palette onClose={closePalette} actions={actions} />}
      {enrol && (
        <Suspense fallback={null}>
          <EnrolDialog onClose={() => setEnrol(false)} />
        </Suspense>
      )}
      <Help keys={help} onClose={() => setHelp(null)} />
    </div>
  );
}

interface Doers {
  help(): void;
  enrol(): void;
  signOut(): void;
}

/** What this user may do from anywhere. */
function useActions({ help, enrol, signOut }: Doers): Action[] {
  const me = useMe();
  const order = useOrder();
  const { pathname } = useLocation();
  const open = /^\/workloads\/([^/]+)$/.exec(pathname)?.[1] ?? "";
  return [
    ...(may(me, "analyst") && open ? [{ id: "collect", title: "palette.collectHere", run: () => void order.one(open) }] : []),
    ...(may(me, "analyst") ? [{ id: "collect-all", title: "palette.collectAll", run: () => order.ask("") }] : []),
    ...(may(me, "admin") ? [{ id: "enrol", title: "enrol.button", run: enrol }] : []),
    { id: "help", title: "keys.help", run: help },
    ...(me.via === "session" ? [{ id: "sign-out", title: "nav.signOut", run: signOut }] : []),
  ];
}
