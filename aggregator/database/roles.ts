/**
 * The roles of the database, which the migrations make: users who log in are members of them (docs/operations.md).
 *
 * @module
 */
import { type Query, queryOne } from "./database.ts";

/** What each role is for. */
export const ROLES = {
  pollwire_registrar: "keeps the registry, and puts voters on the roll",
  pollwire_counter: "counts, publishes and answers",
  pollwire_reader: "reads what is shown",
  pollwire_auditor: "reads all that was counted, to count it again",
} as const;
export type Role = keyof typeof ROLES;

/** The user who connected may not do what it was asked to; the message says which role it lacks. */
export class RoleFault extends Error {
  override name = "RoleFault";
}

/**
 * Makes sure that this user may do what is to come, before anything is begun. The owner of the database may do everything.
 *
 * @throws {RoleFault}
 */
export async function requireRoles(query: Query, ...roles: Role[]): Promise<void> {
  for (const role of roles) {
    const { user, may } = await queryOne<{ user: string; may: boolean }>(
      query,
      `SELECT current_user AS user, pg_has_role($1, 'USAGE') OR pg_has_role(datdba, 'USAGE') AS may
       FROM pg_database WHERE datname = current_database()`,
      [role],
    );
    if (!may) {
      throw new RoleFault(
        `Cannot work in the database as ${user}: it is not a member of ${role}, who ${ROLES[role]}; ` +
          `run GRANT ${role} TO ${user} there, or connect as a member`,
      );
    }
  }
}
