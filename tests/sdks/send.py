"""What code written for mParticle does with its Python SDK; only the host is another."""

import json
import sys

import mparticle

TIME = 1_767_225_600_000

configuration = mparticle.Configuration()
configuration.api_key = "KEY"
configuration.api_secret = "SECRET"
configuration.host = sys.argv[1]
api = mparticle.EventsApi(configuration)

identities = mparticle.UserIdentities(customerid="c-7", email="ada@example.com", other_id_2="o-7")
product = mparticle.Product(id="red-shoes", price=59.9, quantity=1)
action = mparticle.ProductAction("purchase", products=[product], total_amount=59.9)
consent = mparticle.ConsentState()
consent.gdpr = {
    "newsletter": mparticle.GDPRConsentState(consented=True, timestamp_unixtime_ms=TIME)
}
batch = mparticle.Batch(
    mpid=7,
    environment="production",
    user_identities=identities,
    user_attributes={"plan": "gold", "sizes": ["38", "39"]},
    device_info=mparticle.DeviceInformation(device_model="SM-1", os_version="17.2"),
    consent_state=consent,
)
batch.events = [
    mparticle.SessionStartEvent(session_id=1, timestamp_unixtime_ms=TIME),
    mparticle.AppEvent(
        "Sign Up",
        "other",
        timestamp_unixtime_ms=TIME + 1,
        source_message_id="m-1",
        custom_attributes={"from": "footer"},
    ),
    mparticle.ScreenViewEvent(screen_name="Home", timestamp_unixtime_ms=TIME + 2),
    mparticle.CommerceEvent(product_action=action, timestamp_unixtime_ms=TIME + 3),
]
api.upload_events(batch)

update = mparticle.Batch(
    mpid=8,
    environment="production",
    user_identities=mparticle.UserIdentities(customerid="c-8"),
)
update.events = [mparticle.AppEvent("Sign Up", "other", timestamp_unixtime_ms=TIME + 4)]
api.bulk_upload_events([update])

# The same as text, for a producer of one's own.
for one in (batch, update):
    print(json.dumps(mparticle.ApiClient.sanitize_for_serialization(one)))  # noqa: T201
