"""Follows the topic tallies-by-candidate, and prints who has how many votes. Candidates are told apart by id: names may be the same.

  kafka-console-consumer.sh --bootstrap-server ... --topic tallies-by-candidate --from-beginning \\
    --property print.key=true --timeout-ms 10000 | python3 docs/topics/follow.py

Works with any client: a message is a key, a tab, and a row as JSON, or "null" for a key that is gone.
"""
import json
import sys

newest = {}
for line in sys.stdin:
    key, value = line.rstrip("\n").split("\t", 1)
    if value == "null":
        newest.pop(key, None)
    else:
        newest[key] = json.loads(value)

for key, row in sorted(newest.items()):
    # Sums over all ballots of a contest stand under names that no candidate can have.
    if not row["candidate"].startswith("#"):
        print(key, row["votes"])
