/**
 * The roles that a process of the aggregator may run. All of them by default; with PostgreSQL, a process may run a part, with
 * the database user, the keys and the connections of that part alone (docs/adr/0022-roles-of-processes.md).
 *
 * @module
 */
import type { RequiredRole } from "../database/roles.ts";

/** Each role of a process: what it does, and the database role that it needs. A user who counts may do all of it. */
export const PROCESS_ROLES = {
  count: { does: "counts and publishes", database: ["pollwire_counter"] },
  index: { does: "writes topics and Elasticsearch", database: ["pollwire_indexer", "pollwire_counter"] },
  serve: {
    does: "answers with page, API and event streams",
    database: ["pollwire_server", "pollwire_counter"],
  },
  receipts: {
    does: "tells devices what became of votes",
    database: ["pollwire_receipts", "pollwire_counter"],
  },
  sync: { does: "answers gateways", database: ["pollwire_sync", "pollwire_counter"] },
  office: { does: "answers officials: the office's API", database: ["pollwire_office"] },
} as const satisfies Record<string, Readonly<{ does: string; database: RequiredRole }>>;
export type ProcessRole = keyof typeof PROCESS_ROLES;

/** Every role that an election needs, in the order of the table in docs/operations.md. The office is run where it has been set up. */
export const ALL_ROLES: readonly ProcessRole[] = (Object.keys(PROCESS_ROLES) as ProcessRole[]).filter((
  role,
) => role !== "office");

/** The roles of the database that a user needs for a role of a process. The office changes what the registrar and the counter keep. */
export function requiredRoles(role: ProcessRole): RequiredRole[] {
  const { database } = PROCESS_ROLES[role];
  return role === "office" ? [...database, "pollwire_registrar", "pollwire_counter"] : [database];
}

/** What is wrong with a list of roles. */
export type RolesFault = Readonly<{ fault: string }>;

/** Reads `count,index`; a role may come twice. */
export function parseRoles(text: string): readonly ProcessRole[] | RolesFault {
  const names = text.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const known = Object.keys(PROCESS_ROLES).join(", ");
  if (names.length === 0) return { fault: `must name one or more of ${known}, with commas between them` };
  const unknown = names.find((name) => !isRole(name));
  if (unknown !== undefined) return { fault: `has no role ${unknown}: it must be one or more of ${known}` };
  return (Object.keys(PROCESS_ROLES) as ProcessRole[]).filter((role) => names.includes(role));
}

function isRole(name: string): name is ProcessRole {
  return Object.hasOwn(PROCESS_ROLES, name);
}

/** Whether a process runs everything that an election needs. */
export function isWhole(roles: readonly ProcessRole[]): boolean {
  return ALL_ROLES.every((role) => roles.includes(role));
}
