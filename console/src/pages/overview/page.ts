import { DashboardOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.overview",
  icon: DashboardOutlined,
  order: 10,
  letter: "o",
  routes: [{ path: "/", load: () => import("./Overview") }],
};
