/**
 * The roles of the database, which the migrations make: users who log in are members of them (docs/operations.md).
 *
 * @module
 */
import { arrayLiteral, type Query, queryOne } from "./database.ts";

/** What each role is for. */
export const ROLES = {
  pollwire_registrar: "keeps the registry, and puts voters on the roll",
  pollwire_counter: "counts, publishes and answers",
  pollwire_reader: "reads what is shown",
  pollwire_auditor: "reads all that was counted, to count it again",
  pollwire_server: "reads what the page and the API show",
  pollwire_indexer: "reads what goes to topics and Elasticsearch",
  pollwire_receipts: "reads what became of votes",
  pollwire_sync: "reads gateways' and devices' key versions, and writes what gateways state",
  pollwire_analyst: "reads views of what is shown, with a tool of its own",
  pollwire_office: "keeps accounts, roles, proposals and certified results of the office",
  pollwire_recounter: "reads what a recount needs, and keeps the tables of the streaming recount",
} as const;
export type Role = keyof typeof ROLES;

/** The user who connected may not do what it was asked to; the message says which role it lacks. */
export class RoleFault extends Error {
  override name = "RoleFault";
}

/** A role that the user must have, or several of which one is enough. The first is the one with the fewest rights. */
export type RequiredRole = Role | readonly [Role, ...Role[]];

/**
 * Checks that this user has the rights for the work that follows, before it begins. The owner of the database may do everything.
 *
 * @throws {RoleFault}
 */
export async function requireRoles(query: Query, ...roles: readonly RequiredRole[]): Promise<void> {
  for (const required of roles) {
    const names = typeof required === "string" ? [required] as const : required;
    const { user, may } = await queryOne<{ user: string; may: boolean }>(
      query,
      `SELECT current_user AS user, pg_has_role(datdba, 'USAGE') OR EXISTS (
         SELECT FROM unnest($1::text::text[]) AS role WHERE pg_has_role(role, 'USAGE')
       ) AS may
       FROM pg_database WHERE datname = current_database()`,
      [arrayLiteral(names)],
    );
    if (may) continue;
    const [role, ...others] = names;
    const orElse = others.map((other) => ` or ${other}`).join("");
    throw new RoleFault(
      `Cannot work in the database as ${user}: it is not a member of ${role}${orElse}, who ${ROLES[role]}; ` +
        `run GRANT ${role} TO ${user} there, or connect as a member`,
    );
  }
}
