-- The circuit breaker of each gateway, shared by all workers. A row appears with the first trip.
-- `trips` > 0 means open until `open_until`, and then half open: whoever holds the probe tries.
create table gateway_breakers (
  gateway text primary key,
  trips int not null,
  open_until timestamptz not null,
  probe_until timestamptz
);
