-- A gateway may take more in a dispute than is left of the deposit, or than it ever was: what is
-- not the user's to pay is a loss, and it counts as having come back all the same.

-- step: once
alter table payments
  drop constraint payments_given_back,
  add constraint payments_given_back check (
    coalesce(refund_reserved, fee_reserved, refunded, returned, returned_fee) is null
    or (
      coalesce(refund_reserved, 0) between 0 and amount
      and coalesce(refunded, 0) between 0 and coalesce(refund_reserved, 0)
      and coalesce(returned, 0) >= 0
      and (type = 'deposit' or coalesce(returned, 0) <= amount)
      and coalesce(fee_reserved, 0) >= 0
      and coalesce(returned_fee, 0) >= 0
      and coalesce(fee_reserved, 0) + coalesce(returned_fee, 0) <= commission
    )
  ) not valid;

-- step: once
alter table payments validate constraint payments_given_back;
