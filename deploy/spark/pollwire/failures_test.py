"""What a failure says to the person who runs a recount."""

import unittest

from pollwire.failures import kafka_failure

REFUSED = """An error occurred while calling o693.save.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 63.0 failed 1 times
Caused by: org.apache.kafka.common.errors.TopicAuthorizationException: Not authorized to access topics: [spark-votes-per-candidate]
\tat org.apache.kafka.clients.producer.KafkaProducer.doSend"""


class Failures(unittest.TestCase):
    def test_says_what_kafka_said(self):
        self.assertEqual(
            kafka_failure(RuntimeError(REFUSED)),
            "Kafka: Not authorized to access topics: [spark-votes-per-candidate] (TopicAuthorizationException)",
        )

    def test_repeats_nothing_else(self):
        self.assertIsNone(kafka_failure(RuntimeError("An error occurred while calling o1.collect.\n: a row")))


if __name__ == "__main__":
    unittest.main()
