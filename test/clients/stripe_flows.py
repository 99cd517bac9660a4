"""Runs the official Python client of Stripe against the address it is given, and prints what it
saw as JSON."""

import json
import sys

import stripe

stripe.max_network_retries = 0
client = stripe.StripeClient("sk_test_0", base_addresses={"api": sys.argv[1]})
CHARGE = {
    "amount": 2050,
    "currency": "usd",
    "confirm": True,
    "off_session": True,
    "payment_method": "pm_card_visa",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    "metadata": {"order": "7"},
}


def charge(key, **change):
    return client.v1.payment_intents.create({**CHARGE, **change}, {"idempotency_key": key})


def refused(call):
    try:
        call()
    except stripe.StripeError as error:
        return [type(error).__name__, error.http_status, error.code]
    return ["nothing"]


made = charge("k1")
again = charge("k1")
part = client.v1.refunds.create({"payment_intent": made.id, "amount": 50})
paid = client.v1.transfers.create(
    {"amount": 700, "currency": "usd", "destination": "acct_1", "transfer_group": "g1"}
)
found = client.v1.payment_intents.search({"query": "metadata['order']:'7'"})
print(
    json.dumps(
        {
            "status": made.status,
            "again": again.id == made.id,
            "retrieved": client.v1.payment_intents.retrieve(made.id).amount_received,
            "found": [one.id for one in found.data] == [made.id],
            "refund": [part.status, part.amount],
            "refunds": len(client.v1.refunds.list({"payment_intent": made.id}).data),
            "transfer": [paid.object, paid.amount],
            "transfers": len(client.v1.transfers.list({"transfer_group": "g1"}).data),
            "declined": refused(lambda: charge("k2", payment_method="pm_card_visa_chargeDeclined")),
            "other": refused(lambda: charge("k1", amount=99)),
            "unknown": refused(lambda: client.v1.payment_intents.retrieve("pi_nothing")),
            "parameter": refused(lambda: charge("k3", color="red")),
        }
    )
)
