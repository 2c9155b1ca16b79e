import { DashboardOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.cost",
  icon: DashboardOutlined,
  order: 41,
  letter: "b",
  routes: [{ path: "/cost", load: () => import("./Cost") }],
};
