import { columns, gatewayOf } from '../domain/array-parameters.ts'
import type { CarriedType, EndStatus, Route } from '../domain/payment.ts'
import { typeOf } from '../domain/payment.ts'
import {
  CLOCK,
  LEASE,
  timed,
  timedUnsharded,
  type Runner,
  type Server,
  type Shard,
  type Statement,
  type Tx,
  type Unsharded,
} from '../ports.ts'

/** A final payment that is to be looked at, claimed. */
export interface ClaimedWatch {
  readonly paymentId: bigint
  /** The number of this claim; only the newest claim may end it. */
  readonly fence: bigint
  /** On the database's clock. */
  readonly claimedAt: Date
}

/** A payment is not looked at more often than this because of notices. */
const NOTICES_APART = `interval '10 seconds'`

/**
 * The soonest next look at a payment. By way of UTC, because `timestamptz + interval` depends on
 * the time zone, and so is no part of an UPDATE on Citus.
 */
const APART = `(watch.asked_at at time zone 'UTC' + ${NOTICES_APART}) at time zone 'UTC'`

/** Numbers of claims rise from here, so that they are never those of an earlier row. */
const FIRST_FENCE = '(extract(epoch from clock.time) * 1000)::bigint'

/** A payment that has ended well, and when it is looked at first. */
export interface Watched {
  readonly paymentId: bigint
  readonly gateway: string
  readonly delayMs: number
}

const WATCHED = columns<Watched>({ paymentId: 'bigint', gateway: 'text', delayMs: 'bigint' })

/**
 * Look at payments later, or sooner than it was meant before. Those that are looked at meanwhile
 * are looked at again.
 */
const INSERT: Statement<never> = {
  name: 'watches_insert',
  ...timed`
  with ${CLOCK}
  insert into payment_watches as watch (shard, payment_id, gateway, run_at, fence)
  select
    $1::int, payment_id, gateway, clock.time + delay_ms * interval '1 millisecond', ${FIRST_FENCE}
  from clock, ${WATCHED.unnest('input', 3)}
  order by payment_id
  on conflict (shard, payment_id) do update
  set
    looked = false,
    noticed = watch.leased,
    run_at = case
      when watch.leased then watch.run_at
      when watch.looked then greatest(excluded.run_at, ${APART})
      else least(watch.run_at, excluded.run_at)
    end
  where watch.leased or watch.looked or watch.run_at > excluded.run_at`,
}

/** How soon a payment is looked at that may have ended well until then. */
const MEANWHILE = `interval '1 minute'`

/**
 * Look at a payment because its gateway sent a notice: at once, or when the last look is long
 * enough ago. Only one of this type and gateway that was sent: whoever names another has it not
 * even written down. While a claim holds it, `noticed` keeps the notice for the end of the claim.
 *
 * Of one that ended well the notice has to be news ($7), and so of one that failed ($8): that is
 * looked at in a moment, because some gateways find late what they did. One that is open is looked
 * at once it has ended, if something came back of it by the notice ($6), or if the gateway is being
 * asked to carry it out and the notice may say that it did: its answer may be older.
 */
const NOTICE: Statement<{ paymentId: bigint }> = {
  name: 'watches_notice',
  ...timed`
  with ${CLOCK}
  insert into payment_watches as watch (shard, payment_id, gateway, run_at, fence)
  select
    $1::int, payment.id, $4,
    case when payment.executed then clock.time else clock.time + ${MEANWHILE} end,
    ${FIRST_FENCE}
  from clock
  cross join (
    select
      id, status, type, gateway, attempts,
      status = 'success' or status = 'failed' and exists (
        select from postings
        where shard = $1 and user_id = payments.user_id and payment_id = payments.id
          and kind = 'settle_late'
      ) as executed
    from payments
    where shard = $1 and id = $3
  ) payment
  where payment.type = $5 and ${gatewayOf('payment.gateway')} = $4
    and case payment.status
      when 'success' then $7::boolean
      when 'failed' then $8::boolean and (payment.executed or payment.attempts > 0)
      else $6::boolean or $8::boolean and exists (
        select from payment_tasks
        where shard = $1 and payment_id = payment.id and leased
      )
    end
  on conflict (shard, payment_id) do update
  set
    looked = false,
    noticed = watch.leased,
    run_at = case
      when watch.leased then watch.run_at
      else least(watch.run_at, greatest(excluded.run_at, ${APART}))
    end
  where case
    when watch.leased then not watch.noticed
    else watch.looked
      or watch.run_at > greatest(excluded.run_at, ${APART})
  end
  returning payment_id as "paymentId"`,
}

/**
 * Claim up to `$3` due payments of a gateway, as tasks are claimed: `run_at` moves to the end of
 * the lease of `$4` milliseconds, and `fence` rises. What was only kept to hold off notices goes.
 */
const CLAIM: Statement<ClaimedWatch> = {
  name: 'watches_claim',
  ...timed`
  with ${CLOCK}, ${LEASE}, wanted as materialized (
    select payment_id, looked
    from payment_watches
    where shard = $1 and gateway = $5 and run_at <= (select time from clock)
    order by run_at
    limit $3
    for update skip locked
  ), forgotten as (
    delete from payment_watches
    where shard = $1
      and payment_id = any (array(select payment_id from wanted where looked))
  )
  update payment_watches watch
  set
    run_at = lease.until,
    fence = watch.fence + 1,
    leased = true,
    noticed = false,
    asked_at = lease.time
  from lease
  where watch.shard = $1
    and watch.payment_id = any (array(select payment_id from wanted where not looked))
  returning watch.payment_id as "paymentId", watch.fence, lease.time as "claimedAt"`,
}

/** Lock a claim that is still the newest of its payment: nobody else has looked meanwhile. */
const HELD: Statement<{ paymentId: bigint }> = {
  name: 'watches_held',
  text: `
  select payment_id as "paymentId"
  from payment_watches
  where shard = $1 and payment_id = $2 and fence = $3 and leased
  for update`,
}

/** Which shards of a server, from `$2` to `$3`, have due watches of the gateway `$4`. */
const SHARDS_DUE: Unsharded<{ number: number }> = {
  name: 'looks_watches',
  ...timedUnsharded`
  with ${CLOCK}
  select asked.number
  from clock, generate_series($2::int, $3::int) as asked (number)
  cross join lateral (
    select run_at
    from payment_watches
    where shard = asked.number and gateway = $4
    order by run_at
    limit 1
  ) oldest
  where oldest.run_at <= time`,
}

/** How the claim of a watch ends. */
export interface WatchEnd {
  readonly paymentId: bigint
  readonly userId: bigint
  readonly fence: bigint
  /** When it is looked at next, in milliseconds; null: never. */
  readonly delayMs: number | null
}

const ENDS = columns<Omit<WatchEnd, 'userId'>>({
  paymentId: 'bigint',
  fence: 'bigint',
  delayMs: 'bigint',
})

/**
 * End claims that are still the newest of their payment. A notice that came meanwhile has it looked
 * at again; one of which nothing more is asked stays for a moment, to hold off the next notice.
 */
const END: Statement<never> = {
  name: 'watches_end',
  ...timed`
  with ${CLOCK}, input as materialized (
    select
      clock.time, clock.time + given.delay_ms * interval '1 millisecond' as due_at, given.*
    from clock, ${ENDS.unnest('given', 3)}
  )
  update payment_watches watch
  set
    leased = false,
    noticed = false,
    looked = input.delay_ms is null and not watch.noticed,
    run_at = case
      when input.delay_ms is null then greatest(input.time, ${APART})
      when watch.noticed then least(input.due_at, greatest(input.time, ${APART}))
      else input.due_at
    end
  from input
  where watch.shard = $1 and watch.payment_id = input.payment_id
    and watch.leased and watch.fence = input.fence`,
}

/** Look at payments that have ended well, each after its delay. */
export function insertWatches(tx: Tx, watched: readonly Watched[]): void {
  if (watched.length > 0) tx.write(INSERT, WATCHED.of(watched))
}

/** What a notice about a payment tells. */
export interface Noticed {
  /** Something came back of it, so an open payment is looked at once it has ended. */
  readonly cameBack?: boolean
  /** How payments may have ended that it tells nothing new of. */
  readonly noNewsOf?: readonly EndStatus[]
}

/**
 * Have a payment of this route looked at; false: there is none, or it is to be looked at soon. Of a
 * refund that ended well nothing comes back; with its deposit it is looked at there.
 */
export async function watchNoticed(
  shard: Runner,
  paymentId: bigint,
  { gateway, operation }: Route,
  { cameBack = false, noNewsOf = [] }: Noticed = {},
): Promise<boolean> {
  const type: CarriedType = typeOf(operation)
  const isRefund = type === 'refund'
  if (isRefund && cameBack) return false
  const ofSuccess = !isRefund && !noNewsOf.includes('success')
  const ofFailed = !noNewsOf.includes('failed')
  const values = [paymentId, gateway, type, cameBack, ofSuccess, ofFailed]
  const rows = await shard.run(NOTICE, values)
  return rows.length > 0
}

/** Claim up to `limit` due watches of a gateway for `leaseMs`. Committed when it returns. */
export function claimWatches(
  shard: Runner,
  gateway: string,
  limit: number,
  leaseMs: number,
): Promise<ClaimedWatch[]> {
  return shard.run(CLAIM, [limit, leaseMs, gateway])
}

/** Which shards of a server have due watches of a gateway. */
export async function shardsWithWatches(
  session: Shard,
  { first, last }: Server,
  gateway: string,
): Promise<readonly number[]> {
  const rows = await session.run(SHARDS_DUE, [first, last, gateway])
  return rows.map(({ number }) => number)
}

/** Lock a claim; false: somebody else has looked at its payment since. */
export async function holdWatch(
  tx: Runner,
  { paymentId, fence }: Pick<ClaimedWatch, 'paymentId' | 'fence'>,
): Promise<boolean> {
  return (await tx.run(HELD, [paymentId, fence])).length > 0
}

/** End claims of watches. Repeating it changes nothing. */
export async function endWatches(shard: Runner, ends: readonly WatchEnd[]): Promise<void> {
  if (ends.length > 0) await shard.run(END, ENDS.of(ends))
}
