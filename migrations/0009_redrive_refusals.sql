-- Why letters of a redrive were refused: error codes with how many.
alter table redrives add column refusals jsonb not null default '{}';
