import type { Client } from 'pg'

/**
 * Writes the keys of payments of later ranges down, whoever inserts them: a process that does not
 * know of ranges yet, or one of the version before, forgets none. A statement that inserts into a
 * range by its name would go past it, so none does. Its primary key refuses a key that is there.
 */
const keeper = (from: bigint) => `
  create function keep_payment_keys() returns trigger language plpgsql as $$
  begin
    insert into payment_keys (shard, user_id, key, payment_id)
    select shard, user_id, idempotency_key, id
    from added
    where idempotency_key is not null and id >= ${from};
    return null;
  end
  $$`

const KEEPING = `
  create trigger payment_keys after insert on payments
  referencing new table as added
  for each statement execute function keep_payment_keys()`

/** From now on keep the keys of payments from an id on, which are in no index. */
export async function keepKeys(client: Client, from: bigint): Promise<void> {
  await client.query('drop function if exists keep_payment_keys() cascade')
  await client.query(keeper(from))
  await client.query(KEEPING)
}
