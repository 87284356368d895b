/**
 * The roles of the people who work in an election office.
 *
 * @module
 */
import { z } from "zod";

/** Each role, and what it is for. `admin` is of the whole office; every other is of one election. */
export const OFFICE_ROLES = {
  admin: "keeps accounts, keys and roles",
  registrar: "keeps the roll, candidates and devices",
  official:
    "proposes, approves and carries out what changes an election's state, and decides about held records",
  auditor: "reads everything, the audit trail included",
  observer: "reads state, checks and exports",
} as const;
export type OfficeRole = keyof typeof OFFICE_ROLES;

export const roleSchema = z.enum(Object.keys(OFFICE_ROLES) as [OfficeRole, ...OfficeRole[]]);

/** Every role of an election. */
export const ELECTION_ROLES = [
  "registrar",
  "official",
  "auditor",
  "observer",
] as const satisfies readonly OfficeRole[];
