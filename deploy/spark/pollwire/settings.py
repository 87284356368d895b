"""Settings, from the environment: the names that the aggregator has. See docs/spark.md."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Optional
from urllib.parse import parse_qs, unquote, urlsplit


class SettingsError(Exception):
    """Says which setting is wrong and what it must be. It repeats no value, which may hold a password."""


@dataclass(frozen=True)
class Database:
    host: str
    port: int
    name: str
    user: str
    password: str
    # The file with the certificate authorities, PEM; None for a connection without TLS.
    ca_file: Optional[str]

    def dsn(self) -> dict[str, object]:
        """For psycopg2."""
        tls = {"sslmode": "verify-full", "sslrootcert": self.ca_file} if self.ca_file else {"sslmode": "disable"}
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.name,
            "user": self.user,
            "password": self.password,
            "application_name": "pollwire spark recount",
            **tls,
        }

    def jdbc(self) -> dict[str, str]:
        """For Spark."""
        tls = f"?sslmode=verify-full&sslrootcert={self.ca_file}" if self.ca_file else "?sslmode=disable"
        return {
            "url": f"jdbc:postgresql://{self.host}:{self.port}/{self.name}{tls}",
            "user": self.user,
            "password": self.password,
            "driver": "org.postgresql.Driver",
        }


@dataclass(frozen=True)
class Kafka:
    brokers: str
    # Options of Kafka's Java clients, without Spark's prefix "kafka.". Certificates are in them, not their files' names.
    client: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    database: Database
    kafka: Kafka
    keys_directory: Path
    report_key_file: Path
    # The directory of reports for which no file is named.
    reports: Path


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    data = environment.get("POLLWIRE_DATA", "data")
    return Settings(
        database=_database(environment),
        kafka=_kafka(environment),
        keys_directory=Path(environment.get("KEYS_DIRECTORY") or f"{data}/keys"),
        report_key_file=Path(environment.get("SPARK_REPORT_KEY_FILE") or f"{data}/spark-report.key"),
        reports=Path(data),
    )


def _secret(environment: Mapping[str, str], name: str) -> str:
    file = environment.get(f"{name}_FILE")
    return _read(file, f"{name}_FILE").strip() if file else environment.get(name, "")


def _read(file: str, name: str) -> str:
    try:
        return Path(file).read_text()
    except OSError as error:
        raise SettingsError(f"Cannot start: {name}: {error.strerror}; it must name a file that can be read") from error


def _database(environment: Mapping[str, str]) -> Database:
    url = urlsplit(environment.get("DATABASE_URL", ""))
    if "," in url.netloc:
        raise SettingsError("Cannot start: DATABASE_URL must name one host for Spark, the primary")
    if url.scheme not in ("postgres", "postgresql") or not url.hostname or not url.username or not url.path[1:]:
        raise SettingsError("Cannot start: DATABASE_URL must be postgres://<user>@<host>:<port>/<database>")
    ca_file = environment.get("DATABASE_CA_FILE")
    is_local = url.hostname in ("localhost", "127.0.0.1", "::1")
    mode = parse_qs(url.query).get("sslmode", ["disable" if is_local and not ca_file else "verify-full"])[0]
    if mode not in ("verify-full", "disable"):
        raise SettingsError("Cannot start: DATABASE_URL must have sslmode=verify-full or sslmode=disable")
    if mode == "verify-full" and not ca_file:
        raise SettingsError("Cannot start: DATABASE_CA_FILE must name the server's certificate authorities, PEM")
    password = _secret(environment, "DATABASE_PASSWORD") or unquote(url.password or "")
    return Database(
        url.hostname,
        url.port or 5432,
        unquote(url.path[1:]),
        unquote(url.username),
        password,
        os.path.abspath(ca_file) if ca_file and mode == "verify-full" else None,
    )


def _kafka(environment: Mapping[str, str]) -> Kafka:
    address = environment.get("VOTE_LOG", "")
    match = re.fullmatch(r"kafka://([^/?#]+)/?(?:\?([^#]*))?", address)
    if match is None:
        raise SettingsError("Cannot start: VOTE_LOG must be kafka://host:port[,host:port…]; Spark reads no other log")
    options = {name: values[0] for name, values in parse_qs(match[2] or "").items()}
    ca, cert, key, user = (options.get(name) for name in ("ca", "cert", "key", "user"))
    is_tls = bool(options.get("tls") or ca or cert)
    client: dict[str, str] = {}
    if ca:
        client |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _read(ca, "VOTE_LOG's ca")}
    if cert and key:
        client |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _read(cert, "VOTE_LOG's cert"),
            "ssl.keystore.key": _read(key, "VOTE_LOG's key"),
        }
    if user:
        password = _secret(environment, "KAFKA_PASSWORD")
        if not password:
            raise SettingsError("Cannot start: KAFKA_PASSWORD must be the password of the user that VOTE_LOG names")
        mechanism = options.get("sasl", "").upper()
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        client |= {
            "sasl.mechanism": mechanism,
            "sasl.jaas.config": f"org.apache.kafka.common.security.{module} required "
            f"username={_quoted(user)} password={_quoted(password)};",
        }
    protocol = ("SASL_" if user else "") + ("SSL" if is_tls else "PLAINTEXT")
    return Kafka(match[1], {"security.protocol": protocol, **client})


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
