"""Runs YooKassa's official Python client against the address it is given, and prints what it saw as
JSON. The parameters of the requests that are compared with ours are given as JSON."""

import json
import sys
import urllib.request

from yookassa import Configuration, Payment, Payout, Refund, Settings
from yookassa.domain.common.security_helper import SecurityHelper
from yookassa.domain.exceptions import ApiError
from yookassa.domain.models import cancellation_details as reasons
from yookassa.domain.notification import WebhookNotification

url, given = sys.argv[1], json.loads(sys.argv[2])


def use(account, secret):
    Configuration.configure(account, secret, api_url=url, max_attempts=0)


def create(kind, of, key):
    return kind.create(dict(of), key)


def refused(call):
    try:
        call()
    except ApiError as error:
        return [type(error).__name__, error.content.get("code"), error.content.get("parameter")]
    return ["nothing"]


def payer(payment, says):
    request = urllib.request.Request(
        f"{url}/payments/{payment.id}/answer",
        data=json.dumps({"says": says, "reason": "card_expired"}).encode(),
        headers={
            "Authorization": given["authorization"],
            "Content-Type": "application/json",
            "Idempotence-Key": f"payer-{payment.id}",
        },
    )
    urllib.request.urlopen(request).read()


def codes():
    kinds = [
        reasons.CancellationDetailsReasonCode,
        reasons.PayoutCancellationDetailsReasonCode,
        reasons.RefundCancellationDetailsReasonCode,
    ]
    return sorted(
        {getattr(kind, name) for kind in kinds for name in dir(kind) if not name.startswith("_")}
    )


use("100500", "test_shop")
saved = create(Payment, given["saved"], given["savedKey"])
again = create(Payment, given["saved"], given["savedKey"])
redirect = create(Payment, given["redirect"], given["redirectKey"])
refund = create(Refund, {**given["refund"], "payment_id": saved.id}, given["refundKey"])
before = redirect.confirmation.confirmation_url
payer(redirect, "yes")
refusing = create(Payment, {**given["redirect"], "description": "no"}, "k-no")
payer(refusing, "no")
staged = create(Payment, {**given["redirect"], "capture": False}, "k-staged")
payer(staged, "yes")
staged_before = Payment.find_one(staged.id).status
captured = Payment.capture(staged.id, None, "k-capture")
other = create(Payment, {**given["redirect"], "capture": False}, "k-other")
payer(other, "yes")
canceled = Payment.cancel(other.id, "k-cancel")
first = Payment.list({"limit": 2})
second = Payment.list({"limit": 2, "cursor": first.next_cursor})
refusals = {
    "duplicated": refused(lambda: create(Payment, given["redirect"], given["savedKey"])),
    "unknown": refused(lambda: Payment.find_one("nothing")),
    "too much": refused(
        lambda: create(
            Refund,
            {**given["refund"], "payment_id": saved.id, "amount": {"value": "999.00", "currency": "RUB"}},
            "k-too-much",
        )
    ),
    "payout": refused(lambda: create(Payout, given["payout"], "k-forbidden")),
    "cancel": refused(lambda: Payment.cancel(saved.id, "k-cancel-2")),
}
me = Settings.get_account_settings()
use("200600", "test_payout_shop")
payout = create(Payout, given["payout"], given["payoutKey"])
payouts = Payout.list({"limit": 10})
use("100500", "live_wrong")
refusals["credentials"] = refused(lambda: Payment.find_one(saved.id))

print(
    json.dumps(
        {
            "saved": [saved.status, saved.paid, saved.test, str(saved.amount.value)],
            "again": again.id == saved.id,
            "redirect": [redirect.status, before.startswith("https://"), redirect.id in before],
            "refusals": refusals,
            "refund": [refund.status, refund.payment_id == saved.id],
            "staged": [staged_before, captured.status],
            "canceled": [canceled.status, canceled.cancellation_details.reason],
            "listed": [len(first.items), len(second.items), first.items[0].id == other.id],
            "payout": [payout.status, payout.test, len(payouts.items)],
            "me": [me.account_id, me.test],
            "networks": SecurityHelper.YOOKASSA_NETWORKS,
            "codes": codes(),
            "notice": WebhookNotification(given["notice"]).object.id,
        }
    )
)
