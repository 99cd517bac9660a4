import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GatewayCharge, ListCharges } from '../src/ports.ts'
import { findMissed, gatewaysUnnamed } from '../src/verify/recover.ts'
import { recover } from '../src/verify/recover-command.ts'
import { testWorld, type Script, type TestWorld } from './harness.ts'

/** Deposits of one user, as many as there are replies of the gateway, and worked on once. */
async function deposits(t: Parameters<typeof testWorld>[0], script: Script[]) {
  const world = await testWorld(t, { shards: 2, script })
  const user = await world.user(100_000n)
  const answers = await world.accept(
    script.map(() => ({ type: 'deposit', userId: user, amount: 1_000n, idempotencyKey: null })),
  )
  await world.work()
  await world.sql(
    `insert into restores (backup_id, backup_at, restored_at, restored_by)
     values (gen_random_uuid(), now(), now(), 'cli:root')`,
  )
  return {
    world,
    ids: answers.map((answer) => {
      assert.ok(answer.kind === 'accepted')
      return answer.payment.id
    }),
  }
}

/** A gateway that executed every payment there is. */
function executedAll(world: TestWorld): ListCharges {
  return async () => {
    const rows = await world.sql<{ id: bigint; key: string }>(
      'select id, gateway_key::text as key from payments order by id',
    )
    const charges = rows.map(({ id, key }): GatewayCharge => {
      return { key, type: 'deposit', paymentId: id, amount: 10, currency: null, ref: null }
    })
    return { charges, next: null }
  }
}

test('a restored database is not used while payments went to a gateway that nobody can ask', async (t) => {
  const { world, ids } = await deposits(t, ['success', 'success'])
  const list = executedAll(world)
  const named = { db: world.db, clock: world.clock, gateways: [{ gateway: 'http', list }] }
  assert.deepEqual(await gatewaysUnnamed(world.db, ['http']), [])
  await world.sql(`update payments set gateway = 'old-bank' where id = $1`, [ids[1]])
  assert.deepEqual(await gatewaysUnnamed(world.db, ['http']), ['old-bank'])
  assert.deepEqual(await gatewaysUnnamed(world.db, ['http', 'old-bank']), [])
  await assert.rejects(
    recover(named, {}),
    /Payments went to old-bank, which GATEWAYS does not name/,
  )
  const [open] = await world.sql<{ open: boolean }>(
    'select recovered_at is null as open from restores',
  )
  assert.equal(open?.open, true)
})

test('what ends by itself after a restore is told apart from what somebody has to ask for', async (t) => {
  const { world, ids } = await deposits(t, ['success', 'in_doubt', 'in_doubt', 'in_doubt'])
  const [, , doubted, unasked] = ids
  await world.sql(`update payments set status = 'unknown' where id in ($1, $2)`, [doubted, unasked])
  await world.sql('delete from payment_tasks where payment_id = $1', [unasked])
  const { db, clock } = world
  const missed = await findMissed(
    { db, clock },
    [{ gateway: 'http', list: executedAll(world) }],
    {},
  )
  assert.deepEqual([missed.toldCount, missed.unaskedCount, missed.lostCount], [2, 1, 0])
})
