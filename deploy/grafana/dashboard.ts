/**
 * Grafana's dashboard of the running processes, as code; `deno task grafana` writes it to dashboards/pollwire.json.
 *
 * @module
 */

/** Columns of a row, and how high a panel is. */
const GRID_COLUMNS = 24;
const HEIGHT = 8;

/** A panel: what it asks of Prometheus, and in which unit (Grafana's name) the answers are. */
type Panel = Readonly<{
  title: string;
  description?: string;
  kind: "timeseries" | "stat";
  unit: string;
  width: number;
  /** Queries with how each series is named. */
  of: readonly (readonly [expr: string, legend: string])[];
  /** A `stat` is red from this value on. */
  redFrom?: number;
}>;

const ROWS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  ["Is all well", [
    stat("Processes that answer", "none", [['sum(up{job=~"pollwire-.*"})', ""]]),
    stat("Elections not counted", "none", [["count(pollwire_aggregator_counting == 0) or vector(0)", ""]], 1),
    stat("Partitions whose reconciliation does not balance", "none", [
      ["max(pollwire_aggregator_unbalanced_partitions) or vector(0)", ""],
    ], 1),
    stat("Offsets deleted from logs", "none", [
      ["max(pollwire_aggregator_log_deleted_offsets) or vector(0)", ""],
    ], 1),
    stat("Offsets that logs left out", "none", [
      ["max(pollwire_aggregator_log_gap_offsets) or vector(0)", ""],
    ], 1),
    stat("Damaged records in spools", "none", [
      ["sum(pollwire_gateway_spool_damaged_records) or vector(0)", ""],
    ], 1),
    stat("Records with a wrong proof", "none", [
      ["sum(pollwire_aggregator_bad_proofs_total) or vector(0)", ""],
    ], 1),
    stat("Stated numbers that were not read", "none", [
      ["max(pollwire_aggregator_missing_numbers) or vector(0)", ""],
    ], 1),
  ]],
  ["Votes", [
    lines("Votes answered by gateways", "ops", [
      ["sum by (answer) (rate(pollwire_gateway_votes_total[1m]))", "{{answer}}"],
    ]),
    lines("Time to answer, gateways", "s", [
      [
        "histogram_quantile(0.5, sum by (le) (rate(pollwire_gateway_request_seconds_bucket[1m])))",
        "half within",
      ],
      [
        "histogram_quantile(0.99, sum by (le) (rate(pollwire_gateway_request_seconds_bucket[1m])))",
        "99 % within",
      ],
    ]),
    lines("Records in spools", "none", [["pollwire_gateway_spool_records", "{{instance}}"]]),
    lines("Bytes in spools", "bytes", [["pollwire_gateway_spool_bytes", "{{instance}}"]]),
    lines("Records to the log", "ops", [
      ["sum by (instance) (rate(pollwire_gateway_forwarded_records_total[1m]))", "{{instance}}"],
    ]),
    lines("Time to make votes durable, gateways", "s", [
      [
        "histogram_quantile(0.99, sum by (instance, le) (rate(pollwire_gateway_store_seconds_bucket[1m])))",
        "{{instance}}: 99 % within",
      ],
    ]),
    lines("Time of an append to the log", "s", [
      [
        "histogram_quantile(0.99, sum by (instance, le) (rate(pollwire_gateway_append_seconds_bucket[1m])))",
        "{{instance}}: 99 % within",
      ],
    ]),
    lines("Records numbered by gateways", "ops", [
      ["sum by (instance) (rate(pollwire_gateway_numbered_records_total[1m]))", "{{instance}}"],
    ]),
    lines("Gateways' clocks ahead of the aggregator's", "s", [
      ["pollwire_gateway_clock_difference_seconds", "{{instance}}"],
    ]),
    lines("Devices' clocks behind the gateway's", "s", [
      [
        "histogram_quantile(0.5, sum by (instance, le) (rate(pollwire_gateway_device_clock_skew_seconds_bucket[5m])))",
        "{{instance}}",
      ],
    ]),
  ]],
  ["Count", [
    lines("Records counted", "ops", [
      ["sum by (election) (rate(pollwire_aggregator_records_total[1m]))", "{{election}}"],
    ]),
    lines("Log entries that wait to be counted", "none", [
      ["max by (election) (pollwire_aggregator_lag_entries)", "{{election}}"],
    ]),
    lines("Time of a counting transaction", "s", [
      [
        "histogram_quantile(0.99, sum by (election, le) (rate(pollwire_aggregator_commit_seconds_bucket[1m])))",
        "{{election}}: 99 % within",
      ],
    ]),
    lines("From the log to the count, and to publish", "s", [
      [
        "histogram_quantile(0.99, sum by (election, le) (rate(pollwire_aggregator_count_delay_seconds_bucket[1m])))",
        "{{election}}: counted, 99 % within",
      ],
      [
        "histogram_quantile(0.99, sum by (election, le) (rate(pollwire_aggregator_publish_seconds_bucket[1m])))",
        "{{election}}: publishing, 99 % within",
      ],
    ]),
    lines("Duplicates and rejections", "ops", [
      [
        'sum by (fate, reason) (rate(pollwire_aggregator_records_total{fate!="counted"}[5m]))',
        "{{fate}} {{reason}}",
      ],
    ]),
    lines("Records that wait for officials", "none", [
      ["max by (election) (pollwire_aggregator_held_records)", "{{election}}"],
    ]),
    lines("Sender keys without a statement", "none", [
      ["max by (election) (pollwire_aggregator_open_sender_keys)", "{{election}}"],
      ["pollwire_gateway_statements_due", "{{instance}}: due"],
    ]),
    lines("Releases", "ops", [
      ["sum by (election) (rate(pollwire_aggregator_releases_total[1m]))", "{{election}}"],
    ]),
  ]],
  ["Alerts for officials", [
    lines("Active alerts", "none", [
      ["sum by (election, rule, severity) (pollwire_alerts_active)", "{{election}} {{rule}} ({{severity}})"],
    ]),
    lines("Alerts raised and resolved", "none", [
      [
        "sum by (election, rule) (increase(pollwire_alerts_raised_total[10m]))",
        "{{election}} {{rule}}: raised",
      ],
      [
        "sum by (election, rule) (increase(pollwire_alerts_resolved_total[10m]))",
        "{{election}} {{rule}}: resolved",
      ],
    ]),
    lines("Time to evaluate an election", "s", [
      [
        "histogram_quantile(0.99, sum by (election, le) (rate(pollwire_alerts_evaluation_seconds_bucket[5m])))",
        "{{election}}: 99 % within",
      ],
    ]),
    lines("Alerts to Alertmanager", "none", [
      ["sum by (result) (increase(pollwire_alerts_deliveries_total[5m]))", "{{result}}"],
      ["max by (instance) (pollwire_alerts_queued)", "{{instance}}: wait"],
    ]),
  ]],
  ["Readers and index", [
    lines("Listeners to the live stream", "none", [["pollwire_stream_clients", "{{instance}}"]]),
    lines("Answers of the aggregators", "ops", [
      ["sum by (status) (rate(pollwire_http_answers_total[1m]))", "{{status}}"],
    ]),
    lines("Where public answers come from", "ops", [
      ["sum by (source) (rate(pollwire_public_answers_total[1m]))", "{{source}}"],
    ]),
    lines("Memory of kept public answers", "bytes", [["pollwire_public_answers_kept_bytes", "{{instance}}"]]),
    lines("Index behind the releases", "s", [["pollwire_index_lag_seconds", "{{instance}}"]]),
    lines("Changes behind the office", "s", [
      ["max by (election) (pollwire_changes_lag_seconds)", "{{election}}"],
    ]),
    lines("Documents to the index", "ops", [
      ["sum by (index, result) (rate(pollwire_index_documents_total[1m]))", "{{index}} {{result}}"],
    ]),
  ]],
  ["Objectives (docs/slo.md)", [
    stat("Acknowledged votes that are not on the log: 0", "none", [
      ["max(pollwire:missing_votes:max) or vector(0)", ""],
    ], 1),
    stat("Votes refused: at most 0.1 %", "percentunit", [["pollwire:refused_votes:ratio", ""]], 0.001),
    stat("99 % of votes answered within: 0.5 s", "s", [["pollwire:post_seconds:p99", ""]], 0.5),
    stat("99 % counted within: 10 s", "s", [["max(pollwire:count_delay_seconds:p99)", ""]], 10),
    stat("99 % on the page within: 15 s", "s", [["max(pollwire:page_delay_seconds:p99)", ""]], 15),
    stat("In the index within: 60 s", "s", [["pollwire:index_delay_seconds:min", ""]], 60),
  ]],
  ["Kafka, PostgreSQL, Elasticsearch", [
    stat("Brokers, and other servers, that give figures", "none", [
      ['sum(up{job=~"kafka|postgresql|elasticsearch"})', ""],
    ]),
    stat("Partitions of Kafka that lack a copy", "none", [["sum(kafka_under_replicated_partitions)", ""]], 1),
    stat("Size of the database", "bytes", [["max(sum by (instance) (pg_database_size_bytes))", ""]]),
    stat("Shards of Elasticsearch without a place", "none", [
      ["max(elasticsearch_cluster_health_unassigned_shards)", ""],
    ], 1),
    lines("Kafka: messages and bytes", "ops", [
      ["sum by (instance) (rate(kafka_messages_in_total[1m]))", "{{instance}}: messages in"],
      ["sum by (instance) (rate(kafka_bytes_in_total[1m]))", "{{instance}}: bytes in"],
    ]),
    lines("Kafka: time of requests and flushes", "s", [
      [
        'max by (instance, request) (kafka_request_seconds{quantile="0.99"})',
        "{{instance}} {{request}}: 99 %",
      ],
      ['max by (instance) (kafka_log_flush_seconds{quantile="0.99"})', "{{instance}} flush: 99 %"],
    ]),
    lines("PostgreSQL: transactions", "ops", [
      ['sum(rate(pg_stat_database_xact_commit{datname="pollwire"}[1m]))', "committed"],
      ['sum(rate(pg_stat_database_xact_rollback{datname="pollwire"}[1m]))', "rolled back"],
    ]),
    lines("PostgreSQL: connections", "none", [
      ["sum by (instance, state) (pg_stat_activity_count)", "{{instance}} {{state}}"],
      ["max(pg_settings_max_connections)", "allowed"],
    ]),
    lines("Elasticsearch: documents", "ops", [
      ["sum(rate(elasticsearch_indices_indexing_index_total[1m]))", "indexed"],
    ]),
    lines("Elasticsearch: heap and disk", "percentunit", [
      [
        'max by (name) (elasticsearch_jvm_memory_used_bytes{area="heap"} / elasticsearch_jvm_memory_max_bytes{area="heap"})',
        "{{name}}: heap in use",
      ],
      [
        "min by (name) (elasticsearch_filesystem_data_available_bytes / elasticsearch_filesystem_data_size_bytes)",
        "{{name}}: disk free",
      ],
    ]),
  ]],
  ["Faults", [
    lines("Faults that were got over", "ops", [
      ["sum by (instance) (rate(pollwire_gateway_log_faults_total[5m]))", "{{instance}}: log"],
      ["sum by (instance) (rate(pollwire_gateway_sync_faults_total[5m]))", "{{instance}}: aggregator"],
      ["sum by (instance) (rate(pollwire_aggregator_faults_total[5m]))", "{{instance}}: count"],
      ["sum by (instance) (rate(pollwire_index_faults_total[5m]))", "{{instance}}: index"],
    ]),
    lines("What gateways said that is not right", "ops", [
      [
        "sum by (election, gateway) (rate(pollwire_aggregator_clocks_ahead_total[5m]))",
        "{{election}} {{gateway}}: clock ahead",
      ],
      [
        "sum by (election) (rate(pollwire_aggregator_repeated_numbers_total[5m]))",
        "{{election}}: number again",
      ],
      [
        "sum by (election, kind) (rate(pollwire_aggregator_ignored_claims_total[5m]))",
        "{{election}}: ignored {{kind}}",
      ],
    ]),
    lines("Receipts asked about", "ops", [
      ["sum by (outcome) (rate(pollwire_receipts_checked_total[5m]))", "{{outcome}}"],
    ]),
  ]],
];

function lines(title: string, unit: string, of: Panel["of"]): Panel {
  return { title, kind: "timeseries", unit, width: 12, of };
}

function stat(title: string, unit: string, of: Panel["of"], redFrom?: number): Panel {
  return { title, kind: "stat", unit, width: 6, of, redFrom };
}

const DATASOURCE = { type: "prometheus", uid: "prometheus" };

/** The dashboard as Grafana 11 reads it (schema version 39). */
export function dashboardFile(): string {
  const panels: unknown[] = [];
  let y = 0;
  for (const [title, row] of ROWS) {
    panels.push({
      type: "row",
      id: panels.length + 1,
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: GRID_COLUMNS, h: 1 },
      panels: [],
    });
    y++;
    let x = 0;
    for (const panel of row) {
      if (x + panel.width > GRID_COLUMNS) [x, y] = [0, y + HEIGHT];
      panels.push(spell(panel, panels.length + 1, { x, y, w: panel.width, h: HEIGHT }));
      x += panel.width;
    }
    y += HEIGHT;
  }
  const dashboard = {
    uid: "pollwire",
    title: "Pollwire",
    tags: ["pollwire"],
    schemaVersion: 39,
    version: 1,
    editable: false,
    refresh: "5s",
    time: { from: "now-1h", to: "now" },
    timezone: "utc",
    templating: { list: [] },
    annotations: { list: [] },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

function spell({ title, kind, unit, of, redFrom }: Panel, id: number, gridPos: Record<string, number>) {
  const steps = redFrom === undefined
    ? [{ color: "green", value: null }]
    : [{ color: "green", value: null }, { color: "red", value: redFrom }];
  return {
    id,
    type: kind,
    title,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { unit, thresholds: { mode: "absolute", steps } }, overrides: [] },
    options: kind === "stat"
      ? { reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false }, colorMode: "background" }
      : { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } },
    targets: of.map(([expr, legendFormat], i) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + i),
      datasource: DATASOURCE,
      expr,
      legendFormat,
    })),
  };
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("dashboards/pollwire.json", import.meta.url), dashboardFile());
}
