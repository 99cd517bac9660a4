-- Under which reference an operator has found a failed payment at its gateway and booked it: so a
-- list and a search find the payment by it, however old it is. Such acts are few, and no other act
-- has an entry. Only a statement that says the whole condition reads this index: those that look
-- for the acts of a payment have a better one.
create index operator_acts_corrected
  on operator_acts (shard, (after ->> 'gateway_ref'), payment_id)
  where act = 'correct' and after ->> 'gateway_ref' <> '';
