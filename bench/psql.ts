/**
 * PostgreSQL's own way in: `\\copy` by psql, the fastest that the server has, with nothing decided, summed or looked up.
 *
 * @module
 */
import type { PostgresTarget } from "../aggregator/database/database_url.ts";
import type { Participation } from "./backlog.ts";

/** A participation as a line that COPY reads. */
export function copyLine(election: string, { voterKey, voteId }: Participation): string {
  return `${election}\t\\\\x${voterKey}\t${voteId}\n`;
}

/** Copies a file of such lines into the participations. */
export async function copyParticipations(target: PostgresTarget, file: string): Promise<void> {
  const { host, port, user, password, database } = target;
  const { success, stderr } = await new Deno.Command("psql", {
    args: ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", String(port), "-U", user, "-d", database]
      .concat("-c", `\\copy counting.participations FROM '${file}'`),
    env: { PGPASSWORD: password },
  }).output();
  if (!success) throw new Error(`psql failed: ${new TextDecoder().decode(stderr)}`);
}
