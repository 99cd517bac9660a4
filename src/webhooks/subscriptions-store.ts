import { CLOCK, NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** What a shard knows of an endpoint. */
export interface Subscription {
  readonly endpointId: bigint
  readonly version: number
  /** Every type that it wants, kinds written out; none: it was removed. */
  readonly types: readonly string[]
  /** Whether deliveries are made. */
  readonly deliver: boolean
  readonly ordered: boolean
}

const READ: Statement<Subscription> = {
  name: 'subscriptions_read',
  text: `
  select endpoint_id as "endpointId", version, types, deliver, ordered
  from webhook_subscriptions
  where shard = $1`,
}

/**
 * Write what a shard has to know, unless it knows something newer. A change begins afresh: the
 * endpoint that had asked for a pause may be at another address by now. A pause that was asked for
 * since the change stays when a second process tells the shard of it.
 */
const WRITE: Statement<never> = {
  name: 'subscriptions_write',
  text: `
  insert into webhook_subscriptions (shard, endpoint_id, version, types, deliver, ordered)
  values ($1::int, $2, $3, $4::text[], $5, $6)
  on conflict (shard, endpoint_id) do update
  set version = excluded.version, types = excluded.types, deliver = excluded.deliver,
    ordered = excluded.ordered,
    paused_until = case
      when webhook_subscriptions.version = excluded.version then webhook_subscriptions.paused_until
    end
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

/** An endpoint of which the shard knows a newer version than was called is not paused by that. */
const PAUSE: Statement<never> = {
  name: 'subscriptions_pause',
  ...timed`
  with ${CLOCK}, pause as materialized (
    select time + $4::int * interval '1 millisecond' as until
    from clock
  )
  update webhook_subscriptions
  set paused_until = greatest(paused_until, pause.until)
  from pause
  where shard = $1 and endpoint_id = $3 and version <= $5`,
}

/** Endpoints that have asked not to be called for a while that lasts. */
const PAUSES: Statement<{ endpointId: bigint; pausedUntil: Date }> = {
  name: 'subscriptions_pauses',
  ...timed`
  select endpoint_id as "endpointId", paused_until as "pausedUntil"
  from webhook_subscriptions
  where shard = $1 and deliver and paused_until > ${NOW}`,
}

const ARRIVED: Statement<{ endpointId: bigint }> = {
  name: 'subscriptions_arrived',
  ...timed`
  select endpoint_id as "endpointId"
  from webhook_subscriptions
  where shard = $1 and endpoint_id = $3
    and delivered_at > ${NOW} - $4::int * interval '1 millisecond'`,
}

export function readSubscriptions(shard: Runner): Promise<Subscription[]> {
  return shard.run(READ, [])
}

export function writeSubscription(tx: Tx, one: Subscription): void {
  tx.write(WRITE, [one.endpointId, one.version, one.types, one.deliver, one.ordered])
}

/** Call an endpoint no more for a while, as `version` of it has asked; a longer pause stays. */
export async function pauseEndpoint(
  shard: Runner,
  { id, version }: { readonly id: bigint; readonly version: number },
  ms: number,
): Promise<void> {
  await shard.run(PAUSE, [id, ms, version])
}

/** Endpoints that are not called in this shard for a while, and until when. */
export function readPauses(shard: Runner) {
  return shard.run(PAUSES, [])
}

/** Whether something arrived at an endpoint within so many milliseconds. */
export async function arrivedWithin(shard: Runner, id: bigint, ms: number): Promise<boolean> {
  const rows = await shard.run(ARRIVED, [id, ms])
  return rows.length > 0
}

/** Every type that is wanted in this shard, by what was written in this transaction. */
export async function typesWanted(tx: Tx): Promise<string[]> {
  const rows = await tx.run(WANTED, [])
  return rows.map(({ type }) => type)
}
