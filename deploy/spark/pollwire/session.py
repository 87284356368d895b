"""The Spark session of a recount."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from pyspark.sql import SparkSession

LOCAL_PARTITIONS = 4
"""Of a shuffle on one machine; a cluster has Spark's default."""


@contextmanager
def open_spark(master: str, memory: str) -> Iterator[SparkSession]:
    """Lends a Spark session. What it spills to disk is encrypted, since rows hold what voters chose."""
    jars = sorted(Path(os.environ.get("SPARK_JARS_DIRECTORY", "")).glob("*.jar"))
    builder = SparkSession.builder.appName("pollwire recount").master(master).config("spark.driver.memory", memory)
    settings = {
        "spark.jars": ",".join(map(str, jars)),
        # Spark's own loader of these jars is not the one that its Kafka source asks for JDBC drivers and clients.
        "spark.driver.extraClassPath": ":".join(map(str, jars)),
        "spark.io.encryption.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        "spark.redaction.regex": "(?i)secret|password|token|jaas|keystore",
        "spark.sql.redaction.options.regex": "(?i)url|password|jaas|keystore",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "4000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    if master.startswith("local"):
        settings |= {"spark.sql.shuffle.partitions": str(LOCAL_PARTITIONS), "spark.driver.bindAddress": "127.0.0.1"}
        settings |= {"spark.driver.host": "127.0.0.1"}
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    # Executors on other machines have none of this program. Each reads the file before its first task.
    with tempfile.TemporaryDirectory() as directory:
        package = shutil.make_archive(f"{directory}/pollwire", "zip", Path(__file__).parents[1], "pollwire")
        spark.sparkContext.addPyFile(package)
        try:
            yield spark
        finally:
            spark.stop()
