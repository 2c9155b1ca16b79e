import { DiffOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.changes",
  icon: DiffOutlined,
  order: 31,
  letter: "c",
  routes: [{ path: "/changes", load: () => import("./Changes") }],
};
