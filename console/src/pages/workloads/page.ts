import { HddOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.workloads",
  icon: HddOutlined,
  order: 21,
  letter: "w",
  routes: [
    { path: "/workloads", load: () => import("./Workloads") },
    { path: "/workloads/:id", load: () => import("./Workload") },
  ],
};
