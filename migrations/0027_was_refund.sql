-- A return that turns out to be a refund of ours is taken back by a return of its own kind.

-- step: once
alter table payments
  drop constraint payments_return_kind,
  add constraint payments_return_kind check (
    (type = 'return') = (return_kind is not null)
    and return_kind in (
      'payout_returned', 'charged_back', 'refunded_there', 'dispute_won', 'was_refund'
    )
  ) not valid;

-- step: once
alter table payments validate constraint payments_return_kind;
