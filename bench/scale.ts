/**
 * The tables of `docs/scale.md`. `deno run -A bench/scale.ts` writes them into the document; `scale_test.ts` computes them
 * again, so that the document cannot drift.
 *
 * @module
 */
import { ASSUMPTIONS as A, COUNTRIES, type Country, type Figure, FIGURES as F } from "./scale_figures.ts";
import { appendS, moneyOf, type Plan, planFor, turnoutRows } from "./scale_plan.ts";

const DOCUMENT = new URL("../docs/scale.md", import.meta.url);

/** Three digits that count, as a person writes them. */
export function spell(value: number): string {
  if (value >= 100) return Number(value.toPrecision(3)).toLocaleString("en");
  return String(Number(value.toPrecision(value < 10 ? 2 : 3)));
}

function spellBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(bytes) / 3)));
  return `${spell(bytes / 1e3 ** power)} ${units[power]}`;
}

function spellBits(bits: number): string {
  return bits >= 1e9 ? `${spell(bits / 1e9)} Gbit/s` : `${spell(bits / 1e6)} Mbit/s`;
}

function spellTime(s: number): string {
  if (s < 120) return `${spell(s)} s`;
  return s < 7_200 ? `${spell(s / 60)} min` : `${spell(s / 3_600)} h`;
}

/** A table in Markdown. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** A row a thing, a column a country. */
function compareTable(
  what: string,
  plans: readonly Plan[],
  rows: readonly [string, (plan: Plan) => string][],
) {
  return table(
    [what, ...plans.map(({ country }) => country.name)],
    rows.map(([name, value]) => [name, ...plans.map(value)]),
  );
}

const cellOf = (cores: keyof Plan["cores"]) => (plan: Plan) =>
  `${spell(plan.cores[cores])} in all, ${spell(plan.cores[cores] / plan.cells)} a cell`;

/** Plans for what the assumptions may be wrong about. */
function plansIfWrong(): [what: string, plans: readonly Plan[]][] {
  const changed = (change: (country: Country) => Partial<Country>) =>
    Object.values(COUNTRIES).map((country) => planFor({ ...country, ...change(country) }));
  return [
    ["as planned", changed(() => ({}))],
    ["the peak is three times as high", changed(({ peakPerS }) => ({ peakPerS: 3 * peakPerS }))],
    ["a ballot costs three times as much", changed(({ ballot }) => ({ ballot: 3 * ballot }))],
    ["elections are rebuilt one after another", changed(() => ({ rebuildsAtOnce: 1 }))],
    ["10 ms between sites, not 2", changed(() => ({ roundTripS: 0.01 }))],
  ];
}

/** The tables, by the name of the place in the document. */
export function tables(): Record<string, string> {
  const plans = Object.values(COUNTRIES).map((country) => planFor(country));
  const [india] = plans as [Plan, ...Plan[]];
  const memory = A.databaseMemoryBytes * A.databaseCacheShare;
  const pages = A.bloat *
    (india.country.voters * F.rollBytes.value + india.country.votes * F.participationBytes.value);
  const n = ({ value }: Figure) => value.toLocaleString("en");
  const append = spell(appendS() * 1_000);
  return {
    figures: table(
      ["figure", "value", "from"],
      (Object.values(F) as Figure[]).map(({ meaning, value, unit, file }) => [
        meaning,
        `${value.toLocaleString("en")} ${unit}`,
        `\`${file}\``,
      ]),
    ),
    countries: compareTable("", plans, [
      ["voters on the roll", ({ country }) => `${spell(country.voters / 1e6)} million`],
      ["votes", ({ country }) => `${spell(country.votes / 1e6)} million`],
      ["hours", ({ country }) => `${country.hours}`],
      ["votes/s on average: votes / hours / 3,600", (plan) => spell(plan.averagePerS)],
      ["votes/s at the peak", ({ country }) => spell(country.peakPerS)],
      ["peak / average", (plan) => spell(plan.country.peakPerS / plan.averagePerS)],
      ["stations", ({ country }) => spell(country.stations)],
      ["elections of Pollwire", ({ country }) => `${spell(country.elections)}, one a ${country.electionOf}`],
      ["stations of an election", ({ country }) => spell(country.stations / country.elections)],
      ["voters of an election", ({ country }) => spell(country.voters / country.elections)],
      ["a ballot, in parts of one of two contests", ({ country }) => spell(country.ballot)],
    ]),
    cells: compareTable("cells that are needed by", plans, [
      [`rate: peak × ballot / (2 × ${n(F.pathPerS)})`, (plan) => spell(plan.byRate)],
      ["memory: voters / voters that it holds", (plan) => spell(plan.byMemory)],
      [
        `a rebuild in an hour, one election after another: votes × ballot / (${n(F.rebuildPerS)} × 3,600)`,
        (plan) => spell(plan.byOneRebuild),
      ],
      [`… ${A.rebuildsAtOnce} elections side by side`, (plan) => spell(plan.byRebuild)],
      ["**cells**", (plan) => `**${plan.cells}**`],
      ["elections of a cell", (plan) => spell(plan.country.elections / plan.cells)],
      ["votes/s of a cell at the peak", (plan) => spell(plan.country.peakPerS / plan.cells)],
      [
        "a rebuild of one election, of the whole cell",
        (plan) => `${spellTime(plan.oneElectionS)}, ${spellTime(plan.cellRebuildS)}`,
      ],
      ["voters of a cell", (plan) => `${spell(plan.country.voters / plan.cells / 1e6)} million`],
    ]),
    cores: compareTable("busy cores at the peak", plans, [
      [`gateways: peak × ${n(F.gatewayUs)} µs × ballot`, (plan) => `${spell(plan.cores.gateways)} in all`],
      [`Kafka, one copy, every vote an append of its own: peak × ${append} ms`, cellOf("kafka")],
      [`Kafka, fetches: elections × partitions × 10/s × ${append} ms`, cellOf("kafkaFetching")],
      [`\`count\`: peak × ${n(F.countUs)} µs × ballot`, cellOf("counting")],
      [`\`count\`, fetches: elections × partitions × 10/s × ${n(F.pollUs)} µs`, cellOf("fetching")],
      [
        `PostgreSQL: peak × ${n(F.postgresUs)} µs × ballot, and ${n(F.pollPostgresUs)} µs a question`,
        cellOf("postgres"),
      ],
      [
        `\`receipts\`: peak × (${n(F.pollUs)} µs + ${n(F.handshakeUs)} µs for a handshake)`,
        cellOf("receipts"),
      ],
      [`\`sync\`: gateways / 2 s × ${n(F.pollUs)} µs`, cellOf("sync")],
      [`Elasticsearch: peak × ${n(F.indexUs)} µs × ballot`, cellOf("index")],
      [
        `PostgreSQL, every station published once after closing: stations × ${n(F.releaseUs)} µs`,
        (plan) => `${spellTime(plan.publishS)} of one core in a cell`,
      ],
    ]),
    primary: table(
      ["one primary for all of India", "arithmetic", "result"],
      [
        [
          "processor",
          `cores of all cells / ${A.busy}`,
          `${spell(india.cores.postgres / A.busy)} cores: one machine has them`,
        ],
        [
          "write-ahead log",
          `${spell(india.country.peakPerS)} × (${n(F.walBytes)} + ${
            spell(turnoutRows(india.country))
          } × ${A.turnoutWalBytes}) bytes`,
          `${spellBytes(india.walPerS)}/s`,
        ],
        [
          "whole pages in it",
          "at most one of 8 KiB a vote",
          `up to ${spellBytes(india.country.peakPerS * A.pageBytes)}/s`,
        ],
        [
          "pages at random",
          `${spell(india.country.voters / 1e6)} million × ${n(F.rollBytes)} + ${
            spell(india.country.votes / 1e6)
          } million × ${n(F.participationBytes)} bytes, × ${A.bloat}`,
          `${spellBytes(pages)}, ${spell(pages / memory)} times the memory`,
        ],
        [
          "a rebuild",
          `${spell(india.country.votes / 1e6)} million / (${A.rebuildsAtOnce} × ${n(F.rebuildPerS)})`,
          spellTime(india.country.votes / F.rebuildPerS.value / A.rebuildsAtOnce),
        ],
        [
          "against what was measured",
          `${spell(india.country.voters / 1e6)} / ${spell(F.rollVoters.value / 1e6)} million voters; ${
            spell(india.country.peakPerS)
          } / ${n(F.pathPerS)} votes/s`,
          `${spell(india.country.voters / F.rollVoters.value)} times the roll, ${
            spell(india.country.peakPerS / F.pathPerS.value)
          } times the rate`,
        ],
      ],
    ),
    doubts: table(
      ["if …", "", ...plans.map(({ country }) => country.name)],
      plansIfWrong().flatMap(([what, changed]) => [
        [what, "cells", ...changed.map(({ cells }) => String(cells))],
        [
          "",
          "PostgreSQL, busy cores a cell",
          ...changed.map((plan) => spell(plan.cores.postgres / plan.cells)),
        ],
        ["", "vCPU of all cells", ...changed.map((plan) => spell(plan.machines.cellVcpu * plan.cells))],
      ]),
    ),
    disks: compareTable("", plans, [
      [`log: votes × ${n(F.linkBytes)} bytes × ballot`, (plan) => spellBytes(plan.logBytes)],
      ["… of a cell, one copy", (plan) => spellBytes(plan.logBytesPerCell)],
      [
        `tables of a cell: roll twice, participations, turnout, × ${A.bloat} for bloat`,
        (plan) => spellBytes(plan.tablesBytesPerCell),
      ],
      ["… of that turnout by station and minute", (plan) => spellBytes(plan.turnoutBytesPerCell)],
      ["write-ahead log of a cell, at the peak", (plan) => `${spellBytes(plan.walPerS / plan.cells)}/s`],
      [
        "… and whole pages, checkpoints 30 min apart",
        (plan) => `up to ${spellBytes(plan.pageImagesPerS / plan.cells)}/s`,
      ],
      ["devices to gateways, everywhere together", (plan) => spellBits(plan.requestBits)],
      ["gateways to Kafka", (plan) => spellBits(plan.appendBits)],
      ["between brokers", (plan) => spellBits(plan.replicaBits)],
    ]),
    gateways: compareTable("", plans, [
      ["gateways", (plan) => `${spell(plan.gateways)}, ${plan.country.gatewaysEach} an election`],
      ["votes/s of one at the peak", (plan) => spell(plan.gatewayPeak)],
      [
        `… of what one can take (${n(F.gatewayPerS)} / ballot)`,
        (plan) => `${spell(100 * plan.gatewayUse)} %`,
      ],
      ["votes in a spool of 2 GiB", (plan) => `${spell(plan.spoolVotes / 1e6)} million`],
      [
        `hours until it is full: log away, peak all the time, each vote in ${A.spoolCopies} gateways`,
        (plan) => spell(plan.spoolHours),
      ],
      ["an hour's spool drained over 10 Mbit/s", (plan) => spellTime(plan.drainS)],
      ["an hour's votes of a cell counted afterwards, by one process", (plan) => spellTime(plan.catchUpS)],
    ]),
    connections: compareTable("in each cell", plans, [
      [
        `counting transactions/s: peak / ${A.transactionVotes}`,
        (plan) => spell(plan.counting.transactionsPerS),
      ],
      [
        `one takes: ${A.transactionTrips} × ${A.roundTripS * 1_000} ms + ${
          spell(A.transactionS * 1_000)
        } ms + ${A.transactionVotes} × ${spell(A.transactionVoteS * 1e6)} µs`,
        (plan) => `${spell(plan.counting.transactionS * 1_000)} ms`,
      ],
      ["connections that are busy", (plan) => spell(plan.counting.busy)],
      [
        `… of those of all \`count\`: ${n(F.countConnections)} each`,
        (plan) =>
          String(
            plan.machines.cell.find(({ part }) => part === "`count,index`")!.each * F.countConnections.value,
          ),
      ],
      [
        `connections that devices keep to \`receipts\`: at most stations, asks × ${F.idleMs.value / 1_000} s`,
        (plan) => spell(plan.receipts.connections),
      ],
      ["TLS handshakes, cores, one for each question", (plan) => spell(plan.receipts.handshakeCores)],
      [
        "… when a site's devices all connect again",
        (plan) => `${spellTime(plan.reconnectS)} of each process`,
      ],
    ]),
    backups: compareTable("a cell", plans, [
      ["base backup of the database, or its way back", (plan) => spellTime(plan.backup.databaseS)],
      ["a copy of the log, or its way back", (plan) => spellTime(plan.backup.logS)],
      ["write-ahead log to keep, for the day", (plan) => spellBytes(plan.backup.walBytes)],
      ["the log brought back, then a rebuild", (plan) => spellTime(plan.backup.logS + plan.cellRebuildS)],
    ]),
    watchers: compareTable("", plans, [
      ["who look at the same time", ({ country }) => `${spell(country.watchers / 1e6)} million`],
      ["requests/s at the CDN: one in 5 s each", ({ watch }) => spell(watch.requests)],
      ["out of the CDN: × 2,000 bytes", ({ watch }) => spellBits(watch.edgeBits)],
      [
        "requests/s at all `serve` together: elections × 3 answers × 2 shields",
        ({ watch }) => spell(watch.originPerS),
      ],
      ["processes, were they event streams: / 1,000", ({ watch }) => spell(watch.streamProcesses)],
    ]),
    machines: table(
      ["in each cell", "vCPU each", ...plans.map(({ country }) => country.name)],
      [
        ...india.machines.cell.map(({ part, vcpu }, i) => [
          part,
          String(vcpu),
          ...plans.map(({ machines }) => String(machines.cell[i]!.each)),
        ]),
        ["vCPU of a cell", "", ...plans.map(({ machines }) => spell(machines.cellVcpu))],
        ["vCPU of all cells", "", ...plans.map(({ machines, cells }) => spell(machines.cellVcpu * cells))],
        ["vCPU of all gateways, 2 each", "", ...plans.map(({ machines }) => spell(machines.gatewayVcpu))],
      ],
    ),
    money: compareTable("30 days, in US dollars", plans, [
      ["machines of the cells", (plan) => spell(moneyOf(plan).cells)],
      ["machines of the gateways", (plan) => spell(moneyOf(plan).gateways)],
      ["disks", (plan) => spell(moneyOf(plan).disks)],
      ["CDN, 8 hours: bytes", (plan) => spell(moneyOf(plan).watchers)],
      ["CDN, 8 hours: requests", (plan) => spell(moneyOf(plan).requests)],
      ["**together**", (plan) => `**${spell(moneyOf(plan).total)}**`],
      ["a vote", (plan) => `${spell(100 * moneyOf(plan).total / plan.country.votes)} cents`],
    ]),
  };
}

/** The document with its tables computed anew. @throws {Error} when a table has no place in it. */
export function withTables(text: string): string {
  let result = text;
  for (const [name, content] of Object.entries(tables())) {
    const place = new RegExp(`(<!-- table: ${name} -->\n)[^]*?(<!-- end -->)`);
    if (!place.test(result)) throw new Error(`docs/scale.md has no place for the table ${name}`);
    result = result.replace(place, (_, begin, end) => `${begin}\n${content}\n\n${end}`);
  }
  return result;
}

if (import.meta.main) Deno.writeTextFileSync(DOCUMENT, withTables(Deno.readTextFileSync(DOCUMENT)));
