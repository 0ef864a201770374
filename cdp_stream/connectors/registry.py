"""Lists the connectors; each is imported at its first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final, cast

from cdp_stream.connectors.connector import Connector

__all__ = ["CONNECTORS", "connector_class"]

CONNECTORS: Final[dict[str, str]] = {
    "kafka": "kafka_topic:KafkaConnector",
    "webhook": "webhook:Webhook",
    "log": "log:Log",
    "file": "file:File",
    "sqlite": "sqlite:Sqlite",
    "postgres": "postgres:Postgres",
    "mailchimp": "mailchimp:Mailchimp",
    "braze": "braze:Braze",
    "facebook": "facebook:Facebook",
    "google-ads": "google_ads:GoogleAds",
    "yahoo": "yahoo:Yahoo",
    "tiktok": "tiktok:TikTok",
    "snapchat": "snapchat:Snapchat",
    "x": "x:X",
    "pinterest": "pinterest:Pinterest",
    "the-trade-desk": "the_trade_desk:TheTradeDesk",
    "liveramp": "liveramp:LiveRamp",
    "iterable": "iterable:Iterable",
    "klaviyo": "klaviyo:Klaviyo",
    "customer-io": "customer_io:CustomerIo",
    "airship": "airship:Airship",
    "kinesis-firehose": "kinesis_firehose:KinesisFirehose",
    "s3": "s3:S3",
    "google-cloud-storage": "google_cloud_storage:GoogleCloudStorage",
    "bigquery": "bigquery:BigQuery",
    "pubsub": "pubsub:PubSub",
    "slack": "slack:Slack",
    "firehose": "firehose:Firehose",
}
"""Name -> `module:class` under `cdp_stream.connectors.partners`, in the order of the docs."""


@cache
def connector_class(name: str) -> type[Connector[Any, Any]]:
    """The class of a connector.

    Raises:
        KeyError: there is none of that name.
    """
    module, _, class_name = CONNECTORS[name].partition(":")
    found = getattr(import_module(f"cdp_stream.connectors.partners.{module}"), class_name)
    return cast("type[Connector[Any, Any]]", found)
