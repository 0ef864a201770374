"""JSON Schemas of definitions, batches and messages, and an AsyncAPI document of the topics.

They are made from the models and tables that the code itself reads by, and published below
docs/schemas, which `python -m tests.docs.schemas docs/schemas` writes.
"""
