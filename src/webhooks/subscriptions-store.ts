import type { Runner, Statement, Tx } from '../ports.ts'

/** What a shard knows of an endpoint. */
export interface Subscription {
  readonly endpointId: bigint
  readonly version: number
  /** Every type that it wants, kinds written out; none: it was removed. */
  readonly types: readonly string[]
}

const READ: Statement<Subscription> = {
  name: 'subscriptions_read',
  text: `
  select endpoint_id as "endpointId", version, types
  from webhook_subscriptions
  where shard = $1`,
}

/** Write what a shard has to know, unless it knows something newer. */
const WRITE: Statement<never> = {
  name: 'subscriptions_write',
  text: `
  insert into webhook_subscriptions (shard, endpoint_id, version, types)
  values ($1::int, $2, $3, $4::text[])
  on conflict (shard, endpoint_id) do update
  set version = excluded.version, types = excluded.types
  where webhook_subscriptions.version <= excluded.version`,
}

/** Every type that some endpoint wants in this shard. */
const WANTED: Statement<{ type: string }> = {
  name: 'subscriptions_wanted',
  text: `
  select distinct unnest(types) as type
  from webhook_subscriptions
  where shard = $1`,
}

export function readSubscriptions(shard: Runner): Promise<Subscription[]> {
  return shard.run(READ, [])
}

export function writeSubscription(tx: Tx, { endpointId, version, types }: Subscription): void {
  tx.write(WRITE, [endpointId, version, types])
}

/** Every type that is wanted in this shard, by what was written in this transaction. */
export async function typesWanted(tx: Tx): Promise<string[]> {
  const rows = await tx.run(WANTED, [])
  return rows.map(({ type }) => type)
}
