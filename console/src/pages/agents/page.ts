import { RadarChartOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.agents",
  icon: RadarChartOutlined,
  order: 40,
  routes: [{ path: "/agents", load: () => import("./Agents") }],
};
