/**
 * A country's polling day by arithmetic: from the cost of a vote to cells, cores, disks, links and money.
 *
 * @module
 */
import { ASSUMPTIONS as A, type Country, FIGURES as F } from "./scale_figures.ts";

const US = 1e-6;

/** A country's plan. Cores are busy cores at the peak, before {@link ASSUMPTIONS.busy}. */
export type Plan = ReturnType<typeof planFor>;

/** What an append costs Kafka, however few records are in it, in seconds: a line through the two that were measured. */
export function appendS(): number {
  const [small, large] = [24, 2_000];
  const [smallS, largeS] = [small * F.smallAppendUs.value * US, large * F.largeAppendUs.value * US];
  return smallS - (largeS - smallS) / (large - small) * small;
}

/** How many voters a database's memory holds: the pages that counting reads and writes at random. */
export function votersInMemory({ voters, votes }: Country): number {
  const each = A.bloat * (F.rollBytes.value + F.participationBytes.value * votes / voters);
  return A.databaseMemoryBytes * A.databaseCacheShare / each;
}

/** Cells: databases, each with a Kafka and aggregators of its own. The tightest of three limits decides. */
export function cellsFor(country: Country) {
  const byRate = country.peakPerS * country.ballot / (2 * F.pathPerS.value);
  const byMemory = country.voters / votersInMemory(country);
  const byOneRebuild = country.votes * country.ballot / (F.rebuildPerS.value * A.rebuildS);
  const byRebuild = byOneRebuild / (country.rebuildsAtOnce ?? A.rebuildsAtOnce);
  const cells = Math.ceil(Math.max(byRate, byMemory, byRebuild));
  return { byRate, byMemory, byOneRebuild, byRebuild, cells };
}

/** Rows of turnout a vote: of each station's minutes those in which somebody votes, if voters come at random. */
export function turnoutRows({ votes, stations, hours }: Country): number {
  const minutes = stations * hours * 60;
  return minutes * (1 - Math.exp(-votes / minutes)) / votes;
}

/** Counting's connections to a primary: how many are busy at the peak, when each transaction waits for its round trips. */
function connectionsFor({ peakPerS, elections, roundTripS = A.roundTripS }: Country, cells: number) {
  const transactionsPerS = peakPerS / cells / A.transactionVotes;
  const transactionS = A.transactionTrips * roundTripS + A.transactionS +
    A.transactionVotes * A.transactionVoteS;
  // An election has one transaction at a time in each process that owns partitions of it.
  return {
    transactionsPerS,
    transactionS,
    busy: Math.min(elections / cells * A.sites, transactionsPerS * transactionS),
  };
}

/** Connections that devices hold open to the `receipts` of one cell, and handshakes. */
function receiptsFor({ peakPerS, stations }: Country, cells: number) {
  const asks = peakPerS * A.receiptAsks / cells;
  return {
    asks,
    // A device that asks more often than connections are closed holds one all the time.
    connections: Math.min(stations / cells, asks * F.idleMs.value / 1_000),
    handshakeCores: asks * F.handshakeUs.value * US,
  };
}

/** The whole plan of a country. */
export function planFor(country: Country) {
  const { votes, voters, peakPerS: peak, ballot, elections, gatewaysEach, partitionsEach } = country;
  const cells = cellsFor(country);
  const gateways = elections * gatewaysEach;
  const polls = gateways / (F.syncMs.value / 1_000);
  const asks = peak * A.receiptAsks;
  // The most: every partition is led by another broker than its neighbor, and is fetched alone.
  const fetches = elections * partitionsEach / (F.fetchMs.value / 1_000);
  const recordBytes = F.linkBytes.value * ballot;
  const cores = {
    gateways: peak * ballot * F.gatewayUs.value * US,
    counting: peak * ballot * F.countUs.value * US,
    fetching: fetches * F.pollUs.value * US,
    postgres: peak * ballot * F.postgresUs.value * US + (polls + asks) * F.pollPostgresUs.value * US,
    // The most: a handshake for each question.
    receipts: asks * (F.pollUs.value + F.handshakeUs.value) * US,
    sync: polls * F.pollUs.value * US,
    // The most: gateways that are far apart send every vote alone.
    kafka: peak * (appendS() + ballot * F.largeAppendUs.value * US),
    kafkaFetching: fetches * appendS(),
    index: peak * ballot * F.indexUs.value * US,
  };
  const logBytes = votes * recordBytes;
  const walPerS = peak * (F.walBytes.value * ballot + turnoutRows(country) * A.turnoutWalBytes);
  const counting = connectionsFor(country, cells.cells);
  const receipts = receiptsFor(country, cells.cells);
  const tablesBytesPerCell = A.bloat * (voters * (F.registryBytes.value + F.rollBytes.value) +
    votes * (F.participationBytes.value + turnoutRows(country) * A.turnoutRowBytes)) /
    cells.cells;
  const machines = machinesFor(cells.cells, cores, gateways, {
    // A process whose site is not lost has half as many again.
    receipts: receipts.connections / F.connectionsLimit.value * A.sites / (A.sites - 1),
    counting: counting.busy / A.busy / F.countConnections.value,
  });
  const receiptsLeft = machines.cell.find(({ part }) => part === "`receipts`")!.each * (A.sites - 1) /
    A.sites;
  const pages = votes * F.participationBytes.value / cells.cells / A.pageBytes;
  const touched = peak / cells.cells * A.checkpointS;
  return {
    country,
    ...cells,
    gateways,
    averagePerS: votes / (country.hours * 3_600),
    polls,
    asks,
    fetches,
    cores,
    logBytes,
    logBytesPerCell: logBytes / cells.cells,
    tablesBytesPerCell,
    turnoutBytesPerCell: A.bloat * votes * turnoutRows(country) * A.turnoutRowBytes / cells.cells,
    walPerS,
    counting,
    receipts,
    // A third of the devices of a cell connect again at the same time.
    reconnectS: receipts.connections / A.sites * F.handshakeUs.value * US / receiptsLeft,
    oneElectionS: votes * ballot / elections / F.rebuildPerS.value,
    cellRebuildS: votes * ballot / cells.cells / F.rebuildPerS.value /
      (country.rebuildsAtOnce ?? A.rebuildsAtOnce),
    backup: {
      databaseS: tablesBytesPerCell / A.copyBytesPerS,
      logS: logBytes / cells.cells / A.copyBytesPerS,
      walBytes: (votes * F.walBytes.value * ballot + votes * turnoutRows(country) * A.turnoutWalBytes) /
        cells.cells,
    },
    // Pages of the participations' index that a checkpoint's time touches: all of them, or one a vote.
    pageImagesPerS: cells.cells * Math.min(pages, touched) * A.pageBytes / A.checkpointS,
    requestBits: peak * A.requestBytes * ballot * 8,
    appendBits: peak * recordBytes * 8,
    replicaBits: peak * recordBytes * 8 * (A.copies - 1),
    gatewayPeak: peak / gateways,
    gatewayUse: peak / gateways * ballot / F.gatewayPerS.value,
    spoolHours: F.spoolLimit.value / (F.spoolBytes.value * ballot) / (peak / gateways * A.spoolCopies) /
      3_600,
    spoolVotes: F.spoolLimit.value / (F.spoolBytes.value * ballot),
    publishS: country.stations * F.releaseUs.value * US / cells.cells,
    drainS: peak / gateways * A.spoolCopies * A.outageS * recordBytes * 8 / A.gatewayLinkBits,
    // Each vote is on the log as often as a gateway stored it, and is read each time.
    catchUpS: peak * A.outageS * A.spoolCopies * ballot / cells.cells /
      (F.backlogPerS.value - peak * ballot / cells.cells),
    watch: watchersOf(country),
    machines,
  };
}

function watchersOf({ watchers, elections }: Country) {
  const requests = watchers / A.reloadS;
  return {
    requests,
    edgeBits: requests * A.answerBytes * 8,
    originPerS: elections * A.hotAnswers * A.cdnShields,
    streamProcesses: watchers / F.streamsLimit.value,
    totalBytes: requests * A.answerBytes * A.watchHours * 3_600,
    totalRequests: requests * A.watchHours * 3_600,
  };
}

/** A kind of machine in one cell: at least one in each site, whatever the load. */
type Machines = Readonly<{ part: string; vcpu: number; each: number }>;

/** @param least How many processes connections need, whatever the processor. */
function machinesFor(
  cells: number,
  cores: Record<string, number>,
  gateways: number,
  least: Readonly<{ receipts: number; counting: number }>,
) {
  // @param threads Cores that one of them can use: a process of ours works in one thread, and has a core for what is beside it.
  const inCell = (part: string, vcpu: number, threads: number, busyCores: number, needed = 0): Machines => ({
    part,
    vcpu,
    each: Math.max(A.sites, Math.ceil(needed), Math.ceil(busyCores / cells / A.busy / threads) + 1),
  });
  const cell: readonly Machines[] = [
    inCell("Kafka brokers", 4, 4, cores.kafka! * A.copies + cores.kafkaFetching!),
    // One primary does the work; the others wait for its place.
    { part: "PostgreSQL, primary and two replicas", vcpu: 16, each: A.copies },
    inCell("`count,index`", 2, 1, cores.counting! + cores.fetching!, least.counting),
    inCell("`receipts`", 2, 1, cores.receipts!, least.receipts),
    inCell("`sync`", 2, 1, cores.sync!),
    inCell("`serve`", 2, 1, 0),
    inCell("Elasticsearch", 4, 4, cores.index!),
    { part: "`office`, Prometheus, logs, rebuilds", vcpu: 8, each: 1 },
  ];
  const cellVcpu = cell.reduce((sum, { vcpu, each }) => sum + vcpu * each, 0);
  return { cell, cellVcpu, gatewayVcpu: gateways * 2, vcpu: cells * cellVcpu + gateways * 2 };
}

/** Rows of a plan's money, in dollars. */
export function moneyOf({ machines, logBytes, tablesBytesPerCell, cells, watch, gateways }: Plan) {
  const month = A.days / 30;
  const gb = 1e9;
  const disks = (logBytes * A.copies + tablesBytesPerCell * cells * A.copies * 3 +
    gateways * 20 * gb) / gb;
  const rows = {
    cells: machines.cellVcpu * cells * A.days * 24 * A.vcpuHourUsd,
    gateways: machines.gatewayVcpu * A.days * 24 * A.vcpuHourUsd,
    disks: disks * month * A.diskGbMonthUsd,
    watchers: watch.totalBytes / gb * A.transferGbUsd,
    requests: watch.totalRequests / 10_000 * A.requestsUsd,
  };
  return { ...rows, total: Object.values(rows).reduce((sum, each) => sum + each, 0) };
}
