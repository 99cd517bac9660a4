-- What became of payments, counted by the statements that do it, in their transactions: so the counts
-- equal the finals after any crash. A transaction adds to the row of its connection (`slot`), because
-- one row for all would be the hottest of the database; the totals are the sums over the slots. Wide,
-- so that a statement touches one row, however many of its counts it moves. Old versions of a row are
-- cleared away when a page is full, and not at every update: that halves what counting costs.
create table payment_counts (
  shard int not null,
  slot int not null,
  enqueued bigint not null default 0,
  started bigint not null default 0,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  in_doubt bigint not null default 0,
  retried bigint not null default 0,
  letters bigint not null default 0,
  resolved_success bigint not null default 0,
  resolved_failed bigint not null default 0,
  primary key (shard, slot)
) with (fillfactor = 90);
