"""Deposit once, retry under the same key, and read what became of it, by the generated client."""

import sys

from payments_client import Client
from payments_client.api.payments import create_deposit, get_payment, list_payments
from payments_client.api.users import create_user
from payments_client.models import AcceptedDeposit, DepositRequest, OpenUserRequest, Payment, Problem

client = Client(base_url=sys.argv[1])

user = create_user.sync(client=client, body=OpenUserRequest(balance="1000.00"))
assert user is not None and not isinstance(user, Problem)

body = DepositRequest(user_id=user.id, deposit="200.00")
first = create_deposit.sync_detailed(client=client, body=body, idempotency_key="order-4711")
again = create_deposit.sync_detailed(client=client, body=body, idempotency_key="order-4711")
assert isinstance(first.parsed, AcceptedDeposit) and isinstance(again.parsed, AcceptedDeposit)
assert first.parsed.payment_id == again.parsed.payment_id
assert again.headers["idempotent-replayed"] == "true"

refused = create_deposit.sync(client=client, body=DepositRequest(user_id=999, deposit="1"))
assert isinstance(refused, Problem) and refused.code.value == "user_not_found", refused

payment = get_payment.sync(first.parsed.payment_id, client=client, wait=20)
assert isinstance(payment, Payment)
listed = list_payments.sync(client=client, user_id=user.id)
assert [one.payment_id for one in listed.data] == [payment.payment_id]
print(payment.type_.value, payment.amount, payment.status.value)
