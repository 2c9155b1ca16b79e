import { SettingOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.settings",
  icon: SettingOutlined,
  order: 50,
  letter: "s",
  places: [
    { title: "settings.tab.certificate", path: "/settings?tab=certificate" },
    { title: "settings.tab.server", path: "/settings?tab=server" },
    { title: "settings.tab.users", path: "/settings?tab=users", role: "admin" },
    { title: "settings.tab.tokens", path: "/settings?tab=tokens", role: "admin" },
    { title: "settings.tab.audit", path: "/settings?tab=audit", role: "admin" },
  ],
  routes: [{ path: "/settings", load: () => import("./Settings") }],
};
