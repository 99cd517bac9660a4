-- A delivery that waits for an earlier event of its payment is put aside: not due before that one
-- is tried again, so that claims do not walk over it. Whatever ends the earlier one makes it due.

-- step: once
alter table deliveries add column set_aside boolean not null default false;
