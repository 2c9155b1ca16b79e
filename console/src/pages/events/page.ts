import { ThunderboltOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.events",
  icon: ThunderboltOutlined,
  order: 30,
  letter: "e",
  routes: [{ path: "/events", load: () => import("./Events") }],
};
