import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bookReturns } from '../src/refunds/returns.ts'
import { corrected, failedByMistake, lates, REF } from './corrected-kit.ts'
import { testWorld } from './harness.ts'
import { JANE } from './operators.ts'
import { balanced, untilFree } from './refunds-kit.ts'
import { serve } from './serve.ts'
import { verifyWorld, violated } from './verify-history.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

for (const policy of ['keep', 'return'] as const) {
  test(`what comes back of a payout that was corrected at a loss pays that first, fees ${policy}`, async (t) => {
    const world = await testWorld(t)
    const { id, letterId } = await failedByMistake(world, 'withdraw')
    // The user spends all but a little before the payout is found at the gateway.
    const [own] = await world.sql<{ userId: bigint; available: bigint }>(
      'select id as "userId", available from users where id = (select user_id from payments)',
    )
    const amount = (((own?.available ?? 0n) - 1_000n) * 100n) / 102n
    const draft = { type: 'withdraw', amount, idempotencyKey: null } as const
    await world.accept([{ ...draft, userId: own?.userId ?? 0n }])
    assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
    const [late] = await lates(world)
    const loss = -(late?.['losses'] ?? 0n)
    assert.ok(loss > 3_000n && loss < 5_000n, `${loss}`)
    const policies = { db: world.db, refundFee: 'keep', returnFee: policy } as const
    for (const [ref, part] of [
      ['a', 3_000n],
      ['b', 2_000n],
      ['a', 3_000n],
    ] as const) {
      const back = { parentId: id, kind: 'payout_returned', amount: part, ref } as const
      const [answer] = await untilFree(() => bookReturns(policies, JANE, [back]))
      assert.ok(answer?.kind === 'booked' || answer?.kind === 'known')
    }
    const fee = policy === 'keep' ? 0n : 100n
    const [first, second] = await world.sql<Record<string, bigint>>(
      `select posting.user_available as user, posting.gateway, posting.fees, posting.losses
       from postings posting join payments on payments.id = payment_id
       where type = 'return' order by payments.amount desc`,
    )
    const share = (fee * 3n) / 5n
    const paid = 3_000n + share
    assert.deepEqual(first, { user: 0n, gateway: -3_000n, fees: -share, losses: paid })
    assert.deepEqual(second, {
      user: 5_000n + fee - loss,
      gateway: -2_000n,
      fees: share - fee,
      losses: loss - paid,
    })
    const more = { parentId: id, kind: 'payout_returned', amount: 1n, ref: 'c' } as const
    const [answer] = await untilFree(() => bookReturns(policies, JANE, [more]))
    assert.equal(answer?.kind === 'refused' && answer.refusal.code, 'not_returnable')
    assert.equal((await balanced(world))['losses'], 0n)
    assert.deepEqual(violated(await verifyWorld(world)), [])
  })
}

test('a corrected payment is found by the reference under which it was found, however old it is', async (t) => {
  const world = await testWorld(t)
  const { id, letterId } = await failedByMistake(world, 'deposit')
  assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const sought = async () => {
    const { body } = await call('GET', `/search?q=${REF}`)
    const payments = body['payments'] as { payment: { payment_id: number }; by: string[] }[]
    return payments.map(({ payment, by }) => [BigInt(payment.payment_id), by])
  }
  const listed = async (more = '') => {
    const { body } = await call('GET', `/payments?gateway_ref=${REF}${more}`)
    const payments = body['data'] as { payment_id: number }[]
    return { ids: payments.map((one) => one.payment_id), next: body['next_cursor'] }
  }
  assert.deepEqual(await sought(), [[id, ['gateway_ref']]])
  assert.deepEqual((await listed()).ids, [Number(id)])
  assert.deepEqual((await listed('&type=withdraw')).ids, [])
  const [own] = await world.sql<{ userId: bigint }>('select user_id as "userId" from payments')
  assert.deepEqual((await listed(`&user_id=${own?.userId}`)).ids, [Number(id)])

  // Newer payments than a page or a search looks at, of which one is called the same.
  for (const from of [1, 1_701, 3_401]) {
    await world.sql(
      `insert into payments
         (shard, id, user_id, type, status, amount, commission, fee_bps, attempts, gateway_key,
          gateway_ref, created_at, finished_at)
       select
         shard, id + n, user_id, type, 'success', amount, commission, fee_bps, attempts,
         gen_random_uuid(), case when n = 5100 then $1 end, created_at, finished_at
       from payments, generate_series($3::int, $3 + 1699) n
       where id = $2`,
      [REF, id, from],
    )
  }
  const last = id + 5_100n
  assert.deepEqual(await sought(), [
    [last, ['gateway_ref']],
    [id, ['gateway_ref']],
  ])
  const first = await listed()
  assert.deepEqual(first.ids, [Number(last)])
  const rest = await listed(`&cursor=${String(first.next)}`)
  assert.deepEqual(rest.ids, [Number(id)])
})
