-- Payments that a gateway has in hand: what the payer has to do before it goes on, since when it
-- has them, and when it sent a notice about one that was just being worked on. Null, as of almost
-- all: nothing. The version before writes none of it, and leaves it as it is.

-- step: once
alter table payment_tasks
  add column action jsonb,
  add column pending_at timestamptz,
  add column noticed_at timestamptz,
  add constraint payment_tasks_action check (jsonb_typeof(action) = 'object') not valid;

-- step: once
alter table payment_tasks validate constraint payment_tasks_action;
