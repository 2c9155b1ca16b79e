import { SettingOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.settings",
  icon: SettingOutlined,
  order: 50,
  routes: [{ path: "/settings", load: () => import("./Settings") }],
};
