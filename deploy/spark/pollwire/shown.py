"""What the streaming recount writes to Kafka for officials: totals of candidates and turnout of regions. Not held to k.

Schemas: docs/topics/spark-votes.schema.json and spark-turnout.schema.json.
"""

from __future__ import annotations

import json
from typing import Any, Mapping, Sequence
from urllib.parse import quote

from pyspark.sql import SparkSession

from .job import kafka_options
from .settings import Kafka

VOTES_TOPIC = "spark-votes-per-candidate"
TURNOUT_TOPIC = "spark-turnout-by-region"
MESSAGE_DDL = "topic string, key string, value string"

Messages = Mapping[tuple[str, str], str]
"""By topic and key: the value, JSON."""


def messages_of(election: str, votes: Sequence[tuple], turnout: Sequence[tuple]) -> dict[tuple[str, str], str]:
    """One message for each candidate and each region, with what its id stands for.

    :param votes: Rows of `ledger.CANDIDATE_TOTALS`.
    :param turnout: Rows of `ledger.REGION_TOTALS`.
    """
    found = {}
    for contest, candidate, name, party, party_name, has_photo, total in votes:
        row: dict[str, Any] = {
            "election": election,
            "contest": contest,
            "candidate": candidate,
            "name": name,
            "party": party,
            "partyName": party_name,
            "photo": _photo(election, contest, candidate) if has_photo else None,
            "votes": total,
        }
        found[VOTES_TOPIC, f"{election}/{contest}/{candidate}"] = json.dumps(row, ensure_ascii=False)
    for region, name, voters in turnout:
        row = {"election": election, "region": region, "name": name, "voters": voters}
        found[TURNOUT_TOPIC, f"{election}/{region}"] = json.dumps(row, ensure_ascii=False)
    return found


def _photo(election: str, contest: str, candidate: str) -> str:
    """Where an aggregator's API has the photo."""
    path = (quote(each, safe="") for each in (election, "candidates", contest, candidate, "photo"))
    return "/v1/elections/" + "/".join(path)


def publish(spark: SparkSession, kafka: Kafka, messages: Messages) -> None:
    """Writes messages. A message that comes twice says the same: each has a total."""
    if not messages:
        return
    rows = [(topic, key, value) for (topic, key), value in messages.items()]
    (
        spark.createDataFrame(rows, MESSAGE_DDL)
        .coalesce(1)
        .write.format("kafka")
        .options(**{name: value for name, value in kafka_options(kafka).items() if name.startswith("kafka.")})
        .option("kafka.acks", "all")
        .save()
    )
