-- Counts are rows of their own until they are folded: a statement adds a row with what it counted, so
-- that it never waits for another that counts, nor for anybody who holds rows of this table. Processes
-- fold them a few times a minute; the totals stay the sums. New rows are numbered from above what the
-- version before uses, which goes on adding to its rows while it is replaced.
alter table payment_counts alter column slot type bigint;
create sequence payment_count_slots start 256 cache 32;
alter table payment_counts alter column slot set default nextval('payment_count_slots');
