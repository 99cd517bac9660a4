-- Under which reference an operator has said that a payment was executed: so the same charge of the
-- gateway is booked for no other payment, however old that one is. Such acts are few, and no other
-- act has an entry. Only a statement that says the whole condition reads this index.
create index operator_acts_resolved
  on operator_acts (shard, (after ->> 'gateway_ref'), payment_id)
  where act = 'resolve' and after ->> 'gateway_ref' <> '';
