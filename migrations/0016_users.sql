-- What is said about users may be changed and erased.

-- step: once
-- The metadata of a user is edited as that of a payment is: an act is about a payment or a user.
alter table operator_acts
  drop constraint operator_acts_about,
  add constraint operator_acts_about check (
    (payment_id is not null or user_id is not null)
    and (act <> 'erase' or payment_id is null)
    and (payment_id is not null or act in ('edit', 'erase'))
  ) not valid;

-- step: once
alter table operator_acts validate constraint operator_acts_about;

-- step: once
-- Erasing finds the key under which a user was opened.
create index user_keys_user on user_keys (shard, user_id);
