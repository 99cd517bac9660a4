import { numbers } from '../domain/array-parameters.ts'
import { CLOCK, timed, type Statement, type Tx } from '../ports.ts'

/**
 * Take the leases of deliveries of events away: a call that is under way was sent what is erased,
 * and leaves nothing of its answer. They are made again, and not before a claim that began earlier
 * and read the events as they were has passed them by. Deliveries are locked in the order of their
 * key, behind the events, as replays lock them.
 */
const RELEASE: Statement<never> = {
  name: 'deliveries_erase_leases',
  ...timed`
  with ${CLOCK}, soonest as materialized (
    select time + interval '10 seconds' as time
    from clock
  ), own as materialized (
    select asked.event_id, asked.endpoint_id
    from (
      select event_id, endpoint_id
      from deliveries
      where shard = $1 and event_id = any (array(
        select id
        from events
        where shard = $1 and payment_id = any ($3::bigint[])
      ))
      order by event_id, endpoint_id
    ) asked
    cross join lateral (
      select event_id
      from deliveries
      where shard = $1 and event_id = asked.event_id and endpoint_id = asked.endpoint_id
        and state = 'pending'
      limit 1
      for update
    ) locked
  )
  update deliveries delivery
  set
    run_at = case
      when delivery.leased then soonest.time
      else greatest(delivery.run_at, soonest.time)
    end,
    fence = delivery.fence + delivery.leased::int,
    attempts = delivery.attempts + delivery.leased::int,
    leased = false
  from soonest, own
  where delivery.shard = $1 and delivery.event_id = own.event_id
    and delivery.endpoint_id = own.endpoint_id`,
}

/** What endpoints answered may repeat what they were sent. */
const ERASE: Statement<never> = {
  name: 'deliveries_erase_replies',
  text: `
  update delivery_attempts
  set reply = null
  where shard = $1 and reply is not null and event_id = any (array(
    select id
    from events
    where shard = $1 and payment_id = any ($2::bigint[])
  ))`,
}

/**
 * Erase what endpoints answered to events of payments, in the transaction that erases those, and
 * behind that: also what is still to be answered to calls that are under way.
 */
export function eraseReplies(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length === 0) return
  tx.write(RELEASE, [numbers(paymentIds)])
  tx.write(ERASE, [numbers(paymentIds)])
}
