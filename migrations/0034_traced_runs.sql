-- The place in a trace of the request that started a redrive of many letters: what it redrives
-- belongs to it. Null: it is not traced.

-- step: once
alter table redrives add column traceparent text;
