"""Kafka brokers that tests, benchmarks and the demo start and end by themselves.

No worker needs this package. Start reading at `apache.py`; `embedded.py` is a broker without Java.
"""
