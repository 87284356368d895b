/** The reconciliation: what was read from the log and what became of it; and what officials watch. */
import { html, isolated, nothing, table } from "./html.js";
import { RATE_SPAN_MS, rateOf } from "./state.js";
import { texts } from "./texts.js";
import { alerts } from "./view_alerts.js";

/** What records come to, in the order in which it is shown; the last two where there are some. */
const FATES = ["counted", "duplicate", "rejected", "held", "statements"];
const RARE = new Set(["held", "statements"]);

function parts(progress) {
  return FATES.map((fate) => [progress[fate], fate]).filter(([records, fate]) =>
    records > 0 || !RARE.has(fate)
  );
}

function equation(progress) {
  const found = parts(progress);
  const sum = found.reduce((total, [records]) => total + records, 0);
  const right = found.map(([records, fate]) => `${texts.number(records)} ${texts.fates[fate]}`).join(" + ");
  return `${texts.number(progress.read)} ${texts.fates.read} ${progress.read === sum ? "=" : "≠"} ${right}`;
}

/** What is wrong with the sums; nothing where they hold. */
export function alarm({ progress }) {
  if (progress.balanced) return nothing;
  const sum = parts(progress).reduce((total, [records]) => total + records, 0);
  return html`<p class="alarm" id="alarm" role="alert">${texts.unbalanced(progress.read - sum)}</p>`;
}

/** For everyone: a line that says that the sums hold, and opens them. */
export function accounted({ progress }) {
  const { balanced, outcomes } = progress;
  return html`<details class="card accounted" id="accounted">
    <summary><span class="verdict" data-balanced=${String(balanced)}>${
    balanced ? `${texts.accounted} ✓` : texts.notAccounted
  }</span></summary>
    <p class="equation num" id="equation">${equation(progress)}</p>
    ${
    table(
      texts.accounted,
      [texts.outcome, texts.records],
      outcomes.map((row) => [
        texts.outcomeOf(row),
        texts.number(row.records),
      ]),
    )
  }
  </details>`;
}

/** For officials: how the count goes, and what they should look at. `more`: answers that are read for this view only. */
export function officials(shown, more) {
  const { progress, lag } = shown;
  const rate = rateOf(shown);
  const doubles = progress.outcomes.find(({ reason }) => reason === "double_vote")?.records ?? 0;
  const figures = [
    [texts.rate, rate === undefined ? texts.none : texts.decimal(rate), texts.rateHint(RATE_SPAN_MS / 1_000)],
    [texts.waiting, lag === null ? texts.unknown : texts.number(lag), texts.waitingHint(lag)],
    [
      texts.notCounted,
      texts.number(progress.duplicate + progress.rejected),
      texts.notCountedHint(progress.duplicate, progress.rejected),
    ],
    [texts.heldLabel, texts.number(progress.held), texts.heldHint],
  ];
  const gaps = more.reconciliation?.gaps.length ?? 0;
  return html`
    <dl class="strip" id="officials">${figures.map(([label, value, hint]) =>
      html`
        <div class="figure">
          <dt>${label}</dt>
          <dd class="value num">${value}</dd>
          <dd class="hint num">${hint}</dd>
        </div>
      `
    )}</dl>
    ${alerts(shown)}
    ${doubles > 0 ? html`<p class="warning">${texts.doubleVotes(doubles)}</p>` : nothing}
    ${gaps > 0 ? html`<p class="warning">${texts.gaps(gaps)}</p>` : nothing}
    <section class="card"><h2>${progress.balanced ? `${texts.balanced} ✓` : texts.notBalanced}</h2>
      <p class="equation num">${equation(progress)}</p>
      ${table(
        texts.accounted,
        [texts.outcome, texts.records],
        progress.outcomes.map((row) => [
          texts.outcomeOf(row),
          texts.number(row.records),
        ]),
      )}</section>
    <section class="card" id="unreleased">
      <h2>${texts.unreleased}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.unreleased}>${unreleased(shown)}</div>
    </section>
    <section class="card" id="partitions">
      <h2>${texts.partitions}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.partitions}>${partitions(more)}</div>
    </section>
    <section class="card" id="gateways">
      <h2>${texts.gateways}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.gateways}>${gateways(more)}</div>
    </section>
    <section class="card" id="rejections">
      <h2>${texts.rejections}</h2>
      <div class="scroll" tabindex="0" role="region" aria-label=${texts.rejections}>${rejections(more)}</div>
    </section>
  `;
}

/** Voters by region who were counted and are in no release yet. Of candidates it says nothing. */
function unreleased({ details, board, counted }) {
  const rows = details.regions.map(({ id, name }) => {
    const [all, released] = [counted.get(id) ?? 0, board.places.get(id)?.voters ?? 0];
    return { name, all, released, waiting: Math.max(0, all - released) };
  }).filter(({ waiting }) => waiting > 0);
  if (rows.length === 0) return texts.nothingUnreleased;
  return table(
    texts.unreleased,
    [texts.place, texts.counted, texts.released, texts.waitingVoters],
    rows.map(({ name, all, released, waiting }) => [
      isolated(name),
      ...[all, released, waiting].map(texts.number),
    ]),
  );
}

function partitions({ reconciliation }) {
  if (reconciliation === undefined) return texts.loading;
  const titles = [
    texts.partition,
    texts.fates.read,
    ...FATES.map((fate) => texts.fates[fate]),
    texts.lag,
    texts.balance,
  ];
  return table(
    texts.partitions,
    titles,
    reconciliation.partitions.map((row) => [
      String(row.partition),
      ...[row.read, ...FATES.map((fate) => row[fate])].map(texts.number),
      row.lag === null ? texts.unknown : texts.number(row.lag),
      row.balanced ? texts.balanced : texts.notBalanced,
    ]),
  );
}

function gateways({ gateways: answer }) {
  if (answer === undefined) return texts.loading;
  if (answer.rows.length === 0) return texts.noGateways;
  const titles = [texts.gateway, texts.openKeys, texts.stated, texts.read, texts.missing];
  return table(
    texts.gateways,
    titles,
    answer.rows.map(({ gateway, senderKeys }) => {
      const sum = (of) => texts.number(senderKeys.reduce((total, key) => total + (of(key) ?? 0), 0));
      return [
        gateway,
        texts.number(senderKeys.filter(({ stated }) => stated === null).length),
        sum(({ stated }) => stated),
        sum(({ read }) => read),
        sum(({ missingNumbers }) => missingNumbers),
      ];
    }),
  );
}

function rejections({ rejections: answer }) {
  if (answer === undefined) return texts.loading;
  if (answer.rows.length === 0) return texts.noRejections;
  return table(
    texts.rejections,
    [texts.when, texts.why, texts.station, texts.gateway, texts.logPlace],
    answer.rows.map((row) => [
      texts.dayAndTime(row.minute),
      texts.outcomeOf(row),
      row.station ?? texts.unknown,
      row.gateway ?? texts.unknown,
      `${row.partition}/${row.offset}`,
    ]),
  );
}
