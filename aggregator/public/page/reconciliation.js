/** The reconciliation: what was read from the log, and what became of it. */
import { at, make, say, show } from "./elements.js";
import { dayAndTime, number, texts } from "./texts.js";

/** What records come to, in the order in which it is shown. */
const FATES = ["counted", "duplicate", "rejected", "held", "statements"];
const RARE = new Set(["held", "statements"]);

/** Whether the reconciliation balance, and what became of the records. */
export function showBalance(state) {
  const { read, balanced, outcomes } = state.progress;
  const verdict = at("verdict");
  verdict.dataset.balanced = String(balanced);
  say(verdict, balanced ? texts.balanced : texts.unbalanced);
  // Held records and statements are rare: they stand in the equation where there are some.
  const parts = FATES.map((fate) => [state.progress[fate], fate])
    .filter(([records, fate]) => records > 0 || !RARE.has(fate));
  const sum = parts.reduce((total, [records]) => total + records, 0);
  const right = parts.map(([records, fate]) => `${number(records)} ${texts[fate]}`).join(" + ");
  say(at("equation"), `${number(read)} ${texts.read} ${read === sum ? "=" : "≠"} ${right}`);
  const alarm = at("alarm");
  say(alarm, balanced ? "" : read === sum ? texts.unbalancedPartitions : texts.unbalancedAlert(read - sum));
  show(alarm, !balanced);
  const doubles = outcomes.find(({ reason }) => reason === "double_vote")?.records ?? 0;
  say(at("doubles"), doubles === 0 ? "" : texts.doubleVotes(doubles));
  show(at("doubles"), doubles > 0);
  fill(
    at("outcomes"),
    [texts.outcome, texts.records],
    outcomes.map((row) => [texts.outcomeOf(row), number(row.records)]),
  );
}

/** The reconciliation of each partition. `atMs`: when they were read. */
export function showReconciliation(reconciliation, atMs) {
  say(at("gaps"), reconciliation.gaps.length === 0 ? "" : texts.gaps(reconciliation.gaps.length));
  show(at("gaps"), reconciliation.gaps.length > 0);
  const [summary, scroll] = at("partitions").children;
  say(summary, texts.partitions(reconciliation.partitions.length, atMs));
  if (!at("partitions").open) return;
  fill(
    scroll.firstElementChild,
    [texts.partition, texts.read, ...FATES.map((fate) => texts[fate]), texts.lag, texts.balance],
    reconciliation.partitions.map((row) => [
      String(row.partition),
      ...[row.read, ...FATES.map((fate) => row[fate])].map(number),
      row.lag === null ? texts.unknown : number(row.lag),
      row.balanced ? texts.balanced : texts.unbalanced,
    ]),
  );
}

/** The newest records that were not counted. */
export function showRejections(rejections) {
  const [summary, scroll] = at("rejections").children;
  say(summary, texts.rejections);
  if (rejections === undefined) return;
  fill(
    scroll.firstElementChild,
    [texts.when, texts.why, texts.station, texts.gateway, texts.place],
    rejections.rows.map((row) => [
      dayAndTime(row.minute),
      texts.outcomeOf(row),
      row.station ?? texts.unknown,
      row.gateway ?? texts.unknown,
      `${row.partition}/${row.offset}`,
    ]),
    texts.noRejections,
  );
}

/** Fills a table anew, when it would be another; `empty` stands in it when there are no rows. */
function fill(table, head, rows, empty = "") {
  const text = JSON.stringify([head, rows]);
  if (table.text === text) return;
  table.text = text;
  const header = make(
    "tr",
    "",
    ...head.map((title) => Object.assign(make("th", "", title), { scope: "col" })),
  );
  const none = rows.length === 0 && empty !== "" ? [make("tr", "", make("td", "", empty))] : [];
  const body = rows.map((cells) => make("tr", "", ...cells.map((cell) => make("td", "num", cell))));
  table.replaceChildren(make("thead", "", header), make("tbody", "", ...body, ...none));
}
