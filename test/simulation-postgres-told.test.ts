import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Db } from '../src/ports.ts'
import { cloneDatabase } from './databases.ts'
import { manualClock, openDb } from './harness.ts'
import { memoryState, ms, postgresState } from './simulation/compared.ts'
import { DELIVERY_MUTANTS } from './simulation/delivery-mutants.ts'
import { instantDb } from './simulation/differential.ts'
import { runTold } from './simulation/differential-told.ts'
import type { Mutant } from './simulation/planting.ts'

const SEEDS = 4

/** Every column of the simulator's rows about what is told, under the simulator's names. */
const DUMPS = {
  events: `
    select
      shard, id, payment_id as "paymentId", type, sequence, position,
      ${ms('created_at')} as "createdAt"
    from events`,
  endpoints: `
    select
      id, url, types, state, payload, ordered, version, disabled_why as "disabledWhy",
      ${ms('disabled_at')} as "disabledAt", ${ms('enabled_at')} as "enabledAt",
      ${ms('changed_at')} as "changedAt", ${ms('created_at')} as "createdAt",
      created_by as "createdBy"
    from webhook_endpoints`,
  subscriptions: `
    select
      shard, endpoint_id as "endpointId", version, types, deliver, ordered,
      ${ms('paused_until')} as "pausedUntil", ${ms('delivered_at')} as "deliveredAt"
    from webhook_subscriptions`,
  deliveries: `
    select
      shard, event_id as "eventId", endpoint_id as "endpointId", payment_id as "paymentId",
      position, state, ${ms('run_at')} as "runAt", fence, attempts, leased,
      ${ms('ended_at')} as "endedAt", replay_id as "replayId", retry_id as "retryId",
      set_aside as "setAside"
    from deliveries`,
  calls: `
    select
      shard, event_id as "eventId", endpoint_id as "endpointId", fence,
      ${ms('started_at')} as "startedAt", took_ms as "tookMs", status, reason, reply
    from delivery_attempts`,
  runs: `
    select
      id, endpoint_id as "endpointId",
      case when state = 'replaying' then 'running' else state end as state,
      event_ids::text[] as "eventIds", position, redriven, skipped,
      coalesce(rate_per_second, 0) as "ratePerSecond", started_by as "startedBy", reason,
      request_id as "requestId", canceled_by as "canceledBy", ${ms('created_at')} as "createdAt",
      created_by as "createdBy", ${ms('started_at')} as "startedAt", ${ms('ended_at')} as "endedAt",
      coalesce(${ms('next_at')}, 0) as "nextAt"
    from redrives`,
} as const

/** Bodies, and acts, are told in the lines of a history; secrets are random. */
const UNSEEN = { events: ['body'], endpoints: ['secret', 'acts'] }

test('the simulator’s database and PostgreSQL deliver the same, when, and how often', async (t) => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const url = await cloneDatabase(t)
    const clock = manualClock()
    const opened: Db[] = []
    const open = (shards: number) => {
      const db = openDb(t, url, { poolMax: 2, shards, clock })
      opened.push(db)
      return db
    }
    const told = await runTold(seed, open, clock)

    const modelClock = manualClock()
    const model = instantDb(modelClock)
    assert.deepEqual(await runTold(seed, model.open, modelClock), told, `seed ${seed}`)

    const kept = await postgresState(opened[0] as Db, DUMPS)
    assert.deepEqual(memoryState(model.tables, DUMPS, UNSEEN), kept, `seed ${seed}`)
    const { deliveries, endpoints, runs } = model.tables
    const things = [
      ...[...deliveries.rows.values()].map(({ state }) => state),
      ...[...endpoints.rows.values()].map(({ state, disabledWhy }) => disabledWhy ?? state),
      ...[...runs.rows.values()].map(({ state }) => `run ${state}`),
    ]
    for (const thing of things) seen.set(thing, (seen.get(thing) ?? 0) + 1)
  }
  t.diagnostic(`${SEEDS} histories: ${[...seen].map((one) => one.join(' ')).join(', ')}`)
  const wanted = ['pending', 'delivered', 'failed', 'gone', 'operator', 'removed', 'run done']
  assert.deepEqual(
    wanted.filter((thing) => !seen.has(thing)),
    [],
  )
})

/** What the simulator's database tells and keeps in a history, or the error that ended it. */
async function modelled(seed: number, change?: Mutant['plants']['handlers']): Promise<unknown> {
  const clock = manualClock()
  const model = instantDb(clock, change)
  const told = await runTold(seed, model.open, clock).catch(String)
  return [told, memoryState(model.tables, DUMPS, UNSEEN)]
}

test('a statement that delivers differently is noticed by the same histories', async () => {
  const unnoticed: string[] = []
  const right = new Map<number, unknown>()
  for (const { name, plants } of DELIVERY_MUTANTS) {
    // Others change what is made of statements, which no database tells.
    let noticed = plants.handlers === undefined
    for (let seed = 1; seed <= SEEDS && !noticed; seed += 1) {
      if (!right.has(seed)) right.set(seed, await modelled(seed))
      noticed = !isDeepStrictEqual(right.get(seed), await modelled(seed, plants.handlers))
    }
    if (!noticed) unnoticed.push(name)
  }
  assert.deepEqual(unnoticed, [])
})
