-- Others are told of an endpoint that the service disables. Until that is written, `tell_at` says
-- when it is done by whoever finds it undone. Null: there is nothing to tell.

-- step: once
alter table webhook_endpoints add column tell_at timestamptz;
