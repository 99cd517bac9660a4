-- Letters and redrives are in the currency of their payments. Null: that of the books, as all that
-- were there before are.

-- step: once
alter table dead_letters
  add column currency text,
  add constraint dead_letters_currency check (currency ~ '^[A-Z]{3}$') not valid;

-- step: once
alter table dead_letters validate constraint dead_letters_currency;

-- step: once
-- What the letters of a redrive come to in other currencies than the books'; `amount` is of those
-- in the books'.
alter table redrives
  add column others jsonb check (jsonb_typeof(others) = 'object');
