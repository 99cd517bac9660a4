-- What was said about payments is found in two more ways.

-- step: once
-- A payment that fails gives up its reference, so the reference is found by its payment.
create unique index payment_references_payment on payment_references (shard, payment_id);

-- step: once
-- Every payment that ever had a reference is found by it, whether it failed or not.
create index payment_details_reference
  on payment_details (shard, reference, payment_id) where reference is not null;
