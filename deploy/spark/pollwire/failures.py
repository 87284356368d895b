"""What went wrong, for the person who runs a recount."""

from __future__ import annotations

import re
from typing import Optional

KAFKA_ERROR = re.compile(r"org\.apache\.kafka\.common\.errors\.(\w+): ([^\n]+)")


def kafka_failure(error: BaseException) -> Optional[str]:
    """What Kafka's client says, anywhere in the causes that Spark reports. It quotes no record.

    None when Kafka was not the reason: messages of Spark's own may quote a row.
    """
    found = KAFKA_ERROR.search(str(error))
    return f"Kafka: {found[2]} ({found[1]})" if found else None
