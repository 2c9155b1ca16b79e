import { AppstoreOutlined } from "@ant-design/icons";
import type { PageDef } from "@/app/page";

export const page: PageDef = {
  title: "nav.assets",
  icon: AppstoreOutlined,
  order: 20,
  letter: "a",
  routes: [
    { path: "/inventory", load: () => import("./Classes") },
    { path: "/inventory/:subclass", load: () => import("./Subclass") },
    { path: "/asset/:id", load: () => import("./AssetPage") },
  ],
};
