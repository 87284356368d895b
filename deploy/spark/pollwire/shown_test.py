"""What the streaming recount writes to its topics."""

import json
import unittest

from pollwire.shown import TURNOUT_TOPIC, VOTES_TOPIC, messages_of


class Shown(unittest.TestCase):
    def test_names_what_ids_stand_for(self):
        votes = [("mayor", "ann", "Ann Archer", "red", "The Reds", True, 7), ("mayor", "bob", "Bob", None, None, False, 0)]
        found = messages_of("town", votes, [("north", "The North", 5)])
        self.assertEqual(
            {key: json.loads(value) for key, value in found.items()},
            {
                (VOTES_TOPIC, "town/mayor/ann"): {
                    "election": "town",
                    "contest": "mayor",
                    "candidate": "ann",
                    "name": "Ann Archer",
                    "party": "red",
                    "partyName": "The Reds",
                    "photo": "/v1/elections/town/candidates/mayor/ann/photo",
                    "votes": 7,
                },
                (VOTES_TOPIC, "town/mayor/bob"): {
                    "election": "town",
                    "contest": "mayor",
                    "candidate": "bob",
                    "name": "Bob",
                    "party": None,
                    "partyName": None,
                    "photo": None,
                    "votes": 0,
                },
                (TURNOUT_TOPIC, "town/north"): {"election": "town", "region": "north", "name": "The North", "voters": 5},
            },
        )


if __name__ == "__main__":
    unittest.main()
