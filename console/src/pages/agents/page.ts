import { RadarChartOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.agents",
  icon: RadarChartOutlined,
  order: 40,
  letter: "g",
  places: [
    { title: "agents.tab.packages", path: "/agents?tab=packages" },
    { title: "agents.tab.rollouts", path: "/agents?tab=rollouts" },
    { title: "agents.tab.alarms", path: "/agents?tab=alarms" },
    { title: "agents.enrolments", path: "/agents?tab=enrolments", role: "admin" },
  ],
  routes: [
    { path: "/agents", load: () => import("./Agents") },
    { path: "/rollouts/:id", load: () => import("./Rollout") },
  ],
};
