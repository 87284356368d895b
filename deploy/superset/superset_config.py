"""Superset's settings for Pollwire, from the environment; docs/superset.md lists them. Secrets come from files."""

import os

from sqlalchemy.engine import make_url


def _read(name: str) -> str:
    with open(os.environ[name], encoding="utf-8") as file:
        return file.read().strip()


_DATA = os.environ["SUPERSET_DATA"]
_DATABASE = make_url(os.environ["DATABASE_URL"])

SECRET_KEY = _read("SUPERSET_SECRET_KEY_FILE")
# Superset's own tables: accounts, charts, dashboards. No results are in them.
SQLALCHEMY_DATABASE_URI = f"sqlite:///{_DATA}/superset.db"
# Answers of PostgreSQL, so that many viewers ask it once.
DATA_CACHE_CONFIG = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": f"{_DATA}/cache", "CACHE_DEFAULT_TIMEOUT": 15}
CACHE_CONFIG = DATA_CACHE_CONFIG
# It is served over TLS only.
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = "Lax"


def DB_CONNECTION_MUTATOR(uri, params, username, security_manager, source):
    """Connects to Pollwire's database, where DATABASE_URL says it is, with the password of the file."""
    if uri.username == "analyst" and uri.host == "postgresql":
        uri = _DATABASE.set(password=_read("DATABASE_PASSWORD_FILE"))
    return uri, params
