"""Kafka brokers that tests, benchmarks and the demo start and stop.

No worker needs this package. Start reading at `apache.py`; `embedded.py` is a broker without Java.
"""
