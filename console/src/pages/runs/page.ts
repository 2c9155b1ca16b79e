import { OrderedListOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.runs",
  icon: OrderedListOutlined,
  order: 42,
  letter: "r",
  routes: [{ path: "/runs", load: () => import("./Runs") }],
};
