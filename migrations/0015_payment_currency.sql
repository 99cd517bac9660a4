-- The currency of a payment is its user's, for its whole life. Null: that of the books, so that
-- payments in it are as small as before.

-- step: once
alter table payments
  add column currency text,
  add constraint payments_currency check (currency ~ '^[A-Z]{3}$') not valid;

-- step: once
alter table payments validate constraint payments_currency;
