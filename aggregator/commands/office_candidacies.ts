/**
 * `deno task office`: candidates and parties. Everything asks the office's API.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { type Common, type Make, readJsonFile, type With } from "./office_common.ts";

/** Adds the commands. */
export function addCandidacyCommands(office: Command, ofElection: Make, withClient: With): void {
  const path = ({ election }: Common, ...parts: string[]) =>
    ["/v1/elections", election!, ...parts.map(encodeURIComponent)].join("/");
  const ask = (options: Common, method: "GET" | "POST", at: string, body?: unknown) =>
    withClient(options, async (client) => {
      console.log(JSON.stringify((await client.ask(method, at, body)).body, null, 2));
    });
  const state = () =>
    new Option("--state <state>", "what they are from now on").choices(["qualified", "refused", "withdrawn"])
      .makeOptionMandatory();
  office.addCommand(
    ofElection("candidates", "Lists parties and candidates with their states.")
      .action((options: Common) => ask(options, "GET", path(options, "candidacies"))),
  );
  office.addCommand(
    ofElection("file-candidate", "Files a candidate for a contest, while the election is a draft.")
      .requiredOption("--candidate <file>", "the candidate as JSON: contest, id, name, party, biography, …")
      .action(async (options: Common & { candidate: string }) =>
        ask(
          options,
          "POST",
          path(options, "candidates"),
          await readJsonFile(
            "--candidate",
            options.candidate,
            'like {"contest":"mayor","id":"ann","name":"Ann Lee"}',
          ),
        )
      ),
  );
  office.addCommand(
    ofElection("file-party", "Files a party, while the election is a draft.")
      .requiredOption("--party <file>", "the party as JSON: id, name, colour")
      .action(async (options: Common & { party: string }) =>
        ask(
          options,
          "POST",
          path(options, "parties"),
          await readJsonFile("--party", options.party, 'like {"id":"red","name":"Red","colour":"#cc0000"}'),
        )
      ),
  );
  office.addCommand(
    ofElection(
      "candidate-state",
      "Qualifies, refuses or withdraws a candidate. When ballots are fixed, a candidate may only withdraw.",
    )
      .requiredOption("--contest <id>", "what they stand for")
      .requiredOption("--candidate <id>", "the candidate")
      .addOption(state())
      .requiredOption("--reason <text>", "why")
      .action((options: Common & { contest: string; candidate: string; state: string; reason: string }) =>
        ask(options, "POST", path(options, "candidates", options.contest, options.candidate, "state"), {
          state: options.state,
          reason: options.reason,
        })
      ),
  );
  office.addCommand(
    ofElection(
      "party-state",
      "Qualifies, refuses or withdraws a party. When ballots are fixed, a party may only withdraw.",
    )
      .requiredOption("--party <id>", "the party")
      .addOption(state())
      .requiredOption("--reason <text>", "why")
      .action((options: Common & { party: string; state: string; reason: string }) =>
        ask(options, "POST", path(options, "parties", options.party, "state"), {
          state: options.state,
          reason: options.reason,
        })
      ),
  );
}
