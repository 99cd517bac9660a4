-- What a task remembers of its charges. `attempts` from now on counts the charges of which a byte may
-- have been sent; it is shown, and survives a redrive. `tries` counts what is used up of the limit:
-- charges that were not executed, or whose outcome nobody knew; a redrive starts it over. `tried_at` is
-- the first of them. `pendings` counts the times the gateway said that it is still working on it.
--
-- `first_sent_at` is the first moment at which a charge may have left: the gateway's memory of our key
-- begins there. The claim that may charge sets it before any byte leaves; only the settlement that
-- proves that nothing of it was ever executed clears it. `misconfigured_at` is the last time the
-- gateway would not talk to us about it, `asked_at` the last time somebody asked out of turn.
alter table payment_tasks
  add column tries int not null default 0,
  add column tried_at timestamptz,
  add column pendings int not null default 0,
  add column first_sent_at timestamptz,
  add column misconfigured_at timestamptz,
  add column asked_at timestamptz;

-- Open tasks count on from what they have used up. A lost worker's evidence is dated with the end of
-- its lease, so whatever is in doubt is dated with the acceptance of its payment: never too late.
update payment_tasks task
set
  tries = task.attempts,
  tried_at = case when task.attempts > 0 then payment.created_at end,
  first_sent_at = case when task.leased or task.doubt_at is not null then payment.created_at end
from payments payment
where payment.shard = task.shard and payment.id = task.payment_id;
