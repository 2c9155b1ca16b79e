import { AccountBookOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.cost",
  icon: AccountBookOutlined,
  order: 41,
  letter: "b",
  routes: [{ path: "/cost", load: () => import("./Cost") }],
};
