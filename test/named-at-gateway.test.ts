import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolve } from '../src/dead-letters/resolve.ts'
import { corrected, failedByMistake, REF } from './corrected-kit.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { JANE, lost, openLetter } from './operators.ts'

/** More newer payments of whoever has payments than anybody looks at. */
async function manyMore(world: TestWorld): Promise<void> {
  await world.sql(`
    insert into payments (shard, id, user_id, type, status, amount, commission, fee_bps,
      gateway_ref, created_at, finished_at)
    select shard, nextval('payment_ids'), user_id, type, 'success', 100, 2, 200, null, created_at,
      created_at
    from (select * from payments order by id limit 1) own, generate_series(1, 1001)`)
}

async function resolved(world: TestWorld, letterId: bigint, outcome: 'success' | 'failed') {
  const word = { letterId, outcome, gatewayRef: REF, againstEvidence: true } as const
  const [answer] = await resolve(world.world, JANE, [word])
  assert(answer !== undefined)
  return answer.kind === 'refused' ? [answer.refusal.code, answer.refusal.paymentId] : answer.kind
}

for (const type of ['deposit', 'withdraw'] as const) {
  test(`what corrected a ${type} corrects no other one, however many lie between them`, async (t) => {
    const world = await testWorld(t)
    const { letterId } = await failedByMistake(world, type)
    assert.equal(await corrected(world, { letterId, gatewayRef: REF }), 'corrected')
    await manyMore(world)
    // Of another user, too: a gateway gives each reference once.
    const other = await failedByMistake(world, type)
    const word = { letterId: other.letterId, gatewayRef: REF }
    assert.equal(await corrected(world, word), 'gateway_ref_taken')
    assert.equal(await corrected(world, { ...word, gatewayRef: `${REF}-2` }), 'corrected')
  })

  test(`what a ${type} was resolved as is no other one, however many lie between them`, async (t) => {
    const world = await testWorld(t)
    const id = await lost(world, type)
    assert.equal(await resolved(world, await openLetter(world, id), 'success'), 'resolved')
    await manyMore(world)
    const other = await lost(world, type)
    const letterId = await openLetter(world, other)
    assert.deepEqual(await resolved(world, letterId, 'success'), ['gateway_ref_taken', id])
    const failed = await failedByMistake(world, type)
    const word = { letterId: failed.letterId, gatewayRef: REF }
    assert.equal(await corrected(world, word), 'gateway_ref_taken')
  })
}

test('a name under which a payment was failed is free for the one that has it', async (t) => {
  const world = await testWorld(t)
  const failed = await openLetter(world, await lost(world, 'deposit'))
  assert.equal(await resolved(world, failed, 'failed'), 'resolved')
  const executed = await openLetter(world, await lost(world, 'deposit'))
  assert.equal(await resolved(world, executed, 'success'), 'resolved')
})

test('a payment that a person says failed is refused no name, whoever has it', async (t) => {
  const world = await testWorld(t)
  const executed = await openLetter(world, await lost(world, 'deposit'))
  assert.equal(await resolved(world, executed, 'success'), 'resolved')
  const failed = await openLetter(world, await lost(world, 'deposit'))
  assert.equal(await resolved(world, failed, 'failed'), 'resolved')
})
