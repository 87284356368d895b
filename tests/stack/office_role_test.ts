/**
 * The role `office` as a process of its own on PostgreSQL and Kafka, beside a process that counts: officials close an election,
 * certify it and reopen it by the commands that people use, and rehearse another.
 *
 * @module
 */
import assert from "assert";
import { createElection } from "../../aggregator/registry/elections.ts";
import { Keyring } from "../../aggregator/registry/keyring.ts";
import { importRoll } from "../../aggregator/registry/roll.ts";
import { pseudonymKey, voterKeyOf } from "../../shared/keys.ts";
import { openKafkaLog } from "../../shared/log/kafka.ts";
import { testVoter } from "../ballot_box.ts";
import { withDirectory } from "../directory.ts";
import { eventually } from "../eventually.ts";
import { placed, testDefinition, testRecord, testSealer } from "../fixture.ts";
import { aggregatorCommand, AggregatorProcess, countedVotes } from "./aggregator_process.ts";
import { sharedBroker } from "./broker.ts";
import { isWithoutServer, startCluster } from "./cluster.ts";
import { PASSWORD, withUsers } from "./database_users.ts";
import { rehearseOnServers } from "./office_rehearsal.ts";
import { stackTest } from "./server.ts";
import { makeVotesTopic } from "./topics.ts";

Deno.test.sanitizer({ ops: true, resources: true });

const ELECTION = "town";
const PARTITIONS = 3;
const VOTERS = 20;
/** The acceptance window, in milliseconds: it keeps its length when voting is closed early. */
const WINDOW_MS = 2_000;

const broker = sharedBroker();
const iso = (ms: number) => new Date(ms).toISOString();

stackTest(
  "the role office runs alone on PostgreSQL and Kafka, from the first administrators to certified results",
  async () => {
    if (isWithoutServer()) return;
    const cluster = await startCluster({ fsync: "off" });
    try {
      await withDirectory((data) =>
        withUsers(cluster, async (as, database) => {
          // As deploy/postgresql/users.sql has it.
          await cluster.psql("GRANT pollwire_registrar, pollwire_counter TO board");
          const master = new Keyring(`${data}/keys`).create(ELECTION);
          const now = Date.now();
          const manifest = await createElection(
            await as("office"),
            testDefinition({
              election: ELECTION,
              partitions: PARTITIONS,
              opensAt: iso(now - 3_600_000),
              closesAt: iso(now + 3_600_000),
              acceptsUntil: iso(now + 3_600_000 + WINDOW_MS),
              releaseThreshold: 1,
            }),
            master,
            new Date(now),
          );
          const roll = Array.from({ length: VOTERS }, (_, n) => testVoter(`voter-${n}`));
          await importRoll(await as("office"), ELECTION, master, roll, Date.now);
          await makeVotesTopic(broker.address, ELECTION, PARTITIONS);
          const { host, pathname } = new URL(cluster.url(database));
          const environmentOf = (user: string, roles: string) => ({
            AGGREGATOR_ROLES: roles,
            DATABASE_URL: `postgres://${user}@${host}${pathname}?sslmode=disable`,
            DATABASE_PASSWORD: PASSWORD,
            VOTE_LOG: `kafka://${broker.address.brokers[0]}`,
          });
          const board = environmentOf("board", "office");
          const run = async (...args: string[]) => {
            const { code, out, error } = await aggregatorCommand(data, board, "office", ...args);
            assert.equal(code, 0, `office ${args.join(" ")}: ${out}${error}`);
            return out;
          };

          await run("init", "--admin", "root", "second");
          const count = AggregatorProcess.start(data, environmentOf("aggregator", "count"));
          const office = AggregatorProcess.start(data, board);
          const log = await openKafkaLog(broker.address, ELECTION, PARTITIONS);
          try {
            for (const process of [count, office]) {
              await eventually(
                "it is ready",
                async () => (await process.ready()).status === 200,
              ).catch((error) => {
                throw new Error(`${error.message}: ${process.lines().slice(-5).join("\n")}`);
              });
            }
            const at = ["--url", office.origin];
            const admin = (file: string) => ["--as", `${data}/office/${file}.json`, ...at];
            for (const account of ["ann", "ben"]) {
              const key = await run("key", "--account", account, "--out", `${data}/${account}.json`);
              const [, x] = /public key: (\S+)/.exec(key)!;
              await run("add", ...admin("root"), "--account", account, "--name", account, "--key", x!);
              const granted = JSON.parse(
                await run(
                  "grant",
                  ...admin("root"),
                  ...["--account", account, "--role", "official", "--election", ELECTION],
                ),
              );
              await run("approve-grant", ...admin("second"), "--grant", String(granted.grant));
            }

            const sealer = testSealer(manifest, "g-1", master);
            const pseudonym = pseudonymKey(master, ELECTION);
            await log.append(Array.from({ length: VOTERS }, (_, n) => {
              const voterKey = voterKeyOf(pseudonym, `voter-${n}`).toHex();
              const castAt = iso(Date.now());
              return placed(
                sealer,
                testRecord(`voter-${n}`, { voterKey, castAt, acceptedAt: castAt }, ELECTION),
                PARTITIONS,
              );
            }));
            const owner = await as("owner");
            await eventually("all are counted", async () => await countedVotes(owner, ELECTION) === VOTERS);

            const of = (
              account: string,
            ) => ["--as", `${data}/${account}.json`, ...at, "--election", ELECTION];
            const both = async (action: string, parameters: unknown = {}) => {
              const asked = ["--action", action, "--parameters", JSON.stringify(parameters)];
              const proposed = JSON.parse(
                await run("propose", ...of("ann"), ...asked, "--reason", "All agree"),
              );
              return JSON.parse(await run("approve", ...of("ben"), "--proposal", proposed.proposal));
            };
            await run("act", ...of("ann"), "--action", "pause", "--reason", "Fire alarm");
            await run("act", ...of("ann"), "--action", "resume", "--reason", "False alarm");
            await both("close_early");
            await log.append([{ ...sealer.state(), partition: 0 }]);
            const canvass = async () =>
              await aggregatorCommand(
                data,
                board,
                ...["office", "act", ...of("ann"), "--action", "begin_canvass", "--reason", "It is over"],
              );
            await eventually("the canvass begins", async () => (await canvass()).code === 0);
            await eventually("the final release is made", async () => {
              const [row] = await owner.query<{ voters: number }>(
                "SELECT coalesce(sum(voters), 0)::int AS voters FROM results.current WHERE election = $1",
                [ELECTION],
              );
              return row!.voters === VOTERS;
            });
            assert.match(await run("check", ...of("ann")), /nothing holds up certification/);
            const certified = await both("certify");
            assert.equal(certified.state.status, "certified");
            const exported = await run("export", ...of("ann"), "--out", `${data}/out`, "--certified", "1");
            assert.match(exported, /SHA256SUMS is signed by pollwire-office/);
            assert.match(await Deno.readTextFile(`${data}/out/openelections.csv`), /,Ann,20,20,/);
            const { versions } = JSON.parse(await run("certified", ...of("ann")));
            assert.deepEqual(versions.map(({ version }: { version: number }) => version), [1]);

            // What comes now is on the log, and not in the count.
            await log.append([placed(
              sealer,
              testRecord("voter-0", {
                voterKey: voterKeyOf(pseudonym, "voter-0").toHex(),
                castAt: iso(now),
                acceptedAt: iso(now),
              }, ELECTION),
              PARTITIONS,
            )]);
            await eventually("it is rejected", async () => {
              const rows = await owner.query<{ reason: string; records: number }>(
                "SELECT reason, records::int FROM counting.outcome_counts WHERE election = $1 AND fate = 'rejected'",
                [ELECTION],
              );
              return rows.length === 1 && rows[0]!.reason === "after_certification" && rows[0]!.records === 1;
            });
            assert.equal((await both("reopen")).state.status, "canvass");
            // It has a number that its gateway had not stated. Until that is stated, a check fails.
            await log.append([{ ...sealer.state(), partition: 0 }]);
            await eventually("all numbers are stated", async () => {
              const check = await aggregatorCommand(data, board, "office", "check", ...of("ann"));
              return /nothing holds up certification/.test(check.out);
            });
            assert.equal((await both("certify")).result.version, 2);
            const lines = [{ station: "n-1", contest: "mayor", candidate: "ann", votes: 3 }];
            await both("adjust", { lines });
            assert.equal((await both("correct")).result.version, 3);
            const trail = await run("audit", "head", ...of("ann"));
            await Deno.writeTextFile(`${data}/heads.txt`, trail);
            await run("audit", "verify", "--head", `${data}/heads.txt`);

            const kept = await aggregatorCommand(
              data,
              board,
              ...["office", "propose", ...of("ann"), "--action", "destroy", "--reason", "Too early"],
            );
            assert.match(kept.out + kept.error, /its records are kept until/);
            await owner.query("UPDATE registry.elections SET retention_days = 0 WHERE election = $1", [
              ELECTION,
            ]);
            assert.equal((await both("destroy")).result.voters, VOTERS);
            await eventually("log and keys are gone", async () => {
              const [row] = await owner.query<{ erased: boolean }>(
                "SELECT erased_at IS NOT NULL AS erased FROM registry.elections WHERE election = $1",
                [ELECTION],
              );
              return row!.erased;
            });
            assert.ok(!new Keyring(`${data}/keys`).has(ELECTION));
            await eventually("the process that counts has let go of it", async () =>
              (await count.ready()).status === 200);
            await run("audit", "verify", "--head", `${data}/heads.txt`);
            const certifiedStill = JSON.parse(await run("certified", ...of("ann")));
            assert.equal(certifiedStill.versions.length, 3);

            await rehearseOnServers({
              data,
              broker: broker.address,
              registrar: await as("office"),
              owner,
              async makeOfficial(account, election) {
                const role = ["--account", account, "--role", "official", "--election", election];
                const { grant } = JSON.parse(await run("grant", ...admin("root"), ...role));
                await run("approve-grant", ...admin("second"), "--grant", String(grant));
              },
              async rehearse(election, name, ...args) {
                const who = ["--as", `${data}/ann.json`, ...at, "--election", election];
                const asked = ["office", "rehearse", name, ...who, ...args];
                const { code, out, error } = await aggregatorCommand(data, board, ...asked);
                return { code, said: out + error };
              },
              async voteDeck(...args) {
                const { code, out, error } = await aggregatorCommand(
                  data,
                  {},
                  "office",
                  "rehearse",
                  "vote",
                  ...args,
                );
                return { code, said: out + error };
              },
              office,
              startRoles: (roles) =>
                AggregatorProcess.start(data, environmentOf("aggregator", roles)),
            });
          } finally {
            await log.close();
            await office.kill();
            await count.kill();
          }
        })
      );
    } finally {
      await cluster.remove();
    }
  },
);
