/** Names for the generated types. */

import type { Readable } from "openapi-typescript-helpers";
import type { components } from "./schema";

type Schemas = { [Name in keyof components["schemas"]]: Readable<components["schemas"][Name]> };

export type AgentView = Schemas["AgentView"];
export type AssetDetail = Schemas["AssetDetail"];
export type AssetRow = Schemas["AssetRow"];
export type AuditView = Schemas["AuditView"];
export type Budget = Schemas["Budget"];
export type Change = Schemas["Change"];
export type ClassState = Schemas["ClassState"];
export type CollectionView = Schemas["CollectionView"];
export type Column = Schemas["Column"];
export type Edge = Schemas["Edge"];
export type EnrolmentView = Schemas["EnrolmentView"];
export type EventRow = Schemas["EventRow"];
export type LedgerEntry = Schemas["LedgerEntry"];
export type Me = Schemas["Me"];
export type Notice = Schemas["Notice"];
export type Overview = Schemas["Overview"];
export type RoleCount = Schemas["RoleCount"];
export type RunTaskView = Schemas["RunTaskView"];
export type RunView = Schemas["RunView"];
export type SavedView = Schemas["SavedView"];
export type Schedule = Schemas["Schedule"];
export type SubclassState = Schemas["SubclassState"];
export type SystemView = Schemas["SystemView"];
export type TaskView = Schemas["TaskView"];
export type TenantView = Schemas["TenantView"];
export type TokenView = Schemas["TokenView"];
export type UserView = Schemas["UserView"];
export type WorkloadDetail = Schemas["WorkloadDetail"];
export type WorkloadView = Schemas["WorkloadView"];

export type AlarmView = Schemas["AlarmView"];
export type LedgerRow = Schemas["LedgerRow"];
export type PackageView = Schemas["PackageView"];
export type RolloutAgentView = Schemas["RolloutAgentView"];
export type RolloutView = Schemas["RolloutView"];

export type AssetState = SubclassState["state"];
export type Role = Me["role"];

export interface Page<T> {
  items: T[];
  next?: string | null;
  total?: number | null;
  as_of_ms: number;
}
