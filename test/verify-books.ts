import { want } from './events-kit.ts'
import type { TestWorld } from './harness.ts'
import { busyHistory } from './verify-history.ts'
import { moneyGoesBack } from './verify-money-back.ts'

/** Everything that can be in the books. */
export async function history(world: TestWorld, seed: number): Promise<void> {
  await want(world, ['payment.*'])
  await busyHistory(world, seed)
  await moneyGoesBack(world)
  await world.sql(TOLD)
}

/** What goes back is written by hand here, and so are its events. */
const TOLD = `
  insert into events (shard, id, payment_id, type, sequence, body, created_at)
  select
    payment.shard, nextval('event_ids') * wanted.shards + payment.shard, payment.id,
    case status when 'success' then 'payment.succeeded' else 'payment.failed' end, 1, '{}',
    finished_at
  from payments payment
  join event_wants wanted on wanted.shard = payment.shard
  where transitions is null and status in ('success', 'failed') and type <> 'return'
    and refused_for is null`
