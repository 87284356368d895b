/**
 * The aggregator's commands. Each is a file in commands/.
 *
 * @module
 */
import { EXIT, program, runProgram } from "../cli/command.ts";
import { aggregateCommand } from "./commands/aggregate.ts";
import { decideCommand } from "./commands/decide.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { officeCommand } from "./commands/office.ts";
import { provisionCommand } from "./commands/provision.ts";
import { rebuildCommand } from "./commands/rebuild.ts";
import { recountCommand } from "./commands/recount.ts";
import { reindexCommand } from "./commands/reindex.ts";
import { topicsCommand } from "./commands/topics.ts";

if (import.meta.main) {
  const code = await runProgram(program("aggregator", "The aggregator of Pollwire.", [
    aggregateCommand(),
    migrateCommand(),
    provisionCommand(),
    topicsCommand(),
    recountCommand(),
    decideCommand(),
    officeCommand(),
    rebuildCommand(),
    reindexCommand(),
  ]));
  Deno.exit(code === EXIT.ok ? 0 : code);
}
