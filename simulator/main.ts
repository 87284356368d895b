/**
 * The simulator's commands: whole elections, made up or replayed from real results, over real HTTP.
 *
 * @module
 */
import { program, runProgram } from "../cli/command.ts";
import { countryCommand } from "./country/command.ts";
import { demoCommand } from "./demo/command.ts";
import { ledgerCommand } from "./ledger/command.ts";
import { replayCommand } from "./replay/command.ts";
import { simulateCommand } from "./simulate/command.ts";

if (import.meta.main) {
  const commands = [demoCommand(), simulateCommand(), countryCommand(), replayCommand(), ledgerCommand()];
  const simulator = program(
    "simulator",
    "Votes as polling stations do, and checks what becomes of every vote.",
    commands,
  );
  Deno.exit(await runProgram(simulator));
}
