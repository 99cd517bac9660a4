import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { testWorld, type TestWorld } from './harness.ts'
import {
  assertBooks,
  declined,
  exhaust,
  accepted,
  JANE,
  letters,
  lost,
  openLetter,
  server,
} from './operators.ts'
import { verifyWorld, violated } from './verify-history.ts'

function act(world: TestWorld, letterId: bigint, outcome: 'success' | 'failed') {
  return resolve(world.world, JANE, [{ letterId, outcome, gatewayRef: 'gw-9' }])
}

const CASES = [
  {
    type: 'withdraw',
    outcome: 'success',
    sums: { user: 0n, held: 0n, gateway: 5_000n, fees: 100n, opening: -5_100n },
  },
  {
    type: 'withdraw',
    outcome: 'failed',
    sums: { user: 5_100n, held: 0n, gateway: 0n, fees: 0n, opening: -5_100n },
  },
  {
    type: 'deposit',
    outcome: 'success',
    sums: { user: 10_000n, held: 0n, gateway: -5_000n, fees: 100n, opening: -5_100n },
  },
  {
    type: 'deposit',
    outcome: 'failed',
    sums: { user: 5_100n, held: 0n, gateway: 0n, fees: 0n, opening: -5_100n },
  },
] as const

for (const { type, outcome, sums } of CASES) {
  test(`a ${type} of unknown outcome resolved as ${outcome} ends with its postings`, async (t) => {
    const world = await testWorld(t)
    const id = await lost(world, type)
    const letterId = await openLetter(world, id)

    const answers = await act(world, letterId, outcome)

    assert.deepEqual(answers, [{ kind: 'resolved', letterId, paymentId: id }])
    const view = await world.view(id)
    assert.deepEqual([view.status, view.attempts, view.nextAt], [outcome, 3, null])
    assert.equal(view.payment.gatewayRef, 'gw-9')
    assert.deepEqual(await world.sql('select payment_id from payment_tasks'), [])
    const { available_stored: _, held_stored: __, ...accounts } = await assertBooks(world)
    assert.deepEqual(accounts, { ...sums, losses: 0n })
    assert.deepEqual((await letters(world, id))[0], {
      id: letterId,
      state: 'resolved',
      class: 'unknown',
      error: 'timeout',
      closedBy: 'jane',
    })
    const acts = await world.sql<Record<string, unknown>>('select * from operator_acts')
    assert.equal(acts.length, 1)
    const { actor, reason, request_id, act: what, before, after } = acts[0] ?? {}
    assert.deepEqual([what, actor, reason, request_id], ['resolve', 'jane', 'seen', 'r1'])
    assert.deepEqual(before, { payment: 'unknown', letter: 'open' })
    assert.deepEqual(after, { payment: outcome, letter: 'resolved', gateway_ref: 'gw-9' })
  })
}

test('a letter about a failed payment is only closed, and only as failed', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  const letterId = await openLetter(world, id)
  const before = await assertBooks(world)

  const wrong = await act(world, letterId, 'success')
  assert.deepEqual(wrong, [{ kind: 'refused', refusal: { code: 'payment_final' } }])
  assert.equal((await letters(world, id))[0]?.state, 'open')

  assert.equal((await act(world, letterId, 'failed'))[0]?.kind, 'resolved')
  assert.equal((await letters(world, id))[0]?.state, 'resolved')
  assert.deepEqual(await assertBooks(world), before)
  assert.equal((await world.view(id)).payment.lastError, 'http_402')
})

test('a letter is resolved once, whoever asks at the same time', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  const letterId = await openLetter(world, id)

  const answers = await Promise.all([
    ...Array.from({ length: 10 }, () => act(world, letterId, 'success')),
    ...Array.from({ length: 10 }, () => act(world, letterId, 'failed')),
  ])

  const kinds = answers.flat().map(({ kind }) => kind)
  assert.equal(kinds.filter((kind) => kind === 'resolved').length, 1)
  assert.equal((await world.sql('select id from operator_acts')).length, 1)
  await assertBooks(world)
})

test('an operator and a worker that settle one payment at once end with one of them', async (t) => {
  const world = await testWorld(t)
  const winners = { operator: 0, worker: 0 }
  for (let round = 0; round < 20; round += 1) {
    const id = await lost(world, 'withdraw')
    const letterId = await openLetter(world, id)
    world.gateway.lookups = null
    world.clock.advance(10_000)
    const settlements = await world.claimAndCharge()
    assert.equal(settlements.length, 1)

    const [answers, settled] = await Promise.all([
      act(world, letterId, 'failed'),
      world.settle(settlements),
    ])

    const won = answers[0]?.kind === 'resolved'
    assert.equal(settled.settlements.length, won ? 0 : 1)
    winners[won ? 'operator' : 'worker'] += 1
    assert.equal((await world.view(id)).status, won ? 'failed' : 'success')
    await assertBooks(world)
  }
  assert.equal(winners.operator + winners.worker, 20)
})

test('a worker that comes late keeps its evidence and says that the word was wrong', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  world.gateway.lookups = null
  world.clock.advance(10_000)
  const settlements = await world.claimAndCharge()
  await act(world, await openLetter(world, id), 'failed')

  assert.equal((await world.settle(settlements)).stale, 1)

  assert.equal((await world.view(id)).status, 'failed')
  const [, contradiction] = await letters(world, id)
  assert.deepEqual([contradiction?.state, contradiction?.error], ['open', 'charged_after_failed'])
  const late = await world.sql('select outcome from payment_attempts where late')
  assert.deepEqual(late, [{ outcome: 'success' }])

  // Its money has moved: it is neither redriven nor resolved as anything but what it is.
  const letterId = contradiction?.id ?? 0n
  const again = await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
  assert.deepEqual(again, [{ kind: 'refused', refusal: { code: 'payment_final' } }])
  assert.equal((await act(world, letterId, 'success'))[0]?.kind, 'refused')
  // Closing it as failed would hide that, so it takes somebody who insists.
  const refusal = { code: 'evidence_contradicts', paymentId: id, evidence: 'success' }
  assert.deepEqual(await act(world, letterId, 'failed'), [{ kind: 'refused', refusal }])
  await world.sql("update dead_letters set state = 'resolved', closed_at = created_at")
  assert.deepEqual(violated(await verifyWorld(world)), ['failed_but_charged'])
  await world.sql("update dead_letters set state = 'open', closed_at = null where id = $1", [
    letterId,
  ])
  const insisting = {
    letterId,
    outcome: 'failed',
    gatewayRef: null,
    againstEvidence: true,
  } as const
  assert.equal((await resolve(world.world, JANE, [insisting]))[0]?.kind, 'resolved')
  assert.deepEqual(violated(await verifyWorld(world)), [])
  await assertBooks(world)
})

test('a payment that cannot be looked up and has left the queue is resolved', async (t) => {
  const world = await testWorld(t, {
    script: ['lost_reply'],
    profile: { repeats: 'may_execute_again', keyLifeMs: 3_600_000, lookup: 'none' },
  })
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 6)
  assert.deepEqual(await world.sql('select payment_id from payment_tasks'), [])

  const letterId = await openLetter(world, id)
  const answers = await Promise.all(
    (['success', 'failed', 'success'] as const).map((outcome) => act(world, letterId, outcome)),
  )

  assert.equal(answers.flat().filter(({ kind }) => kind === 'resolved').length, 1)
  assert.equal((await assertBooks(world))['held'], 0n)
})

test('letters of several shards are resolved in one call, answered in order', async (t) => {
  const world = await testWorld(t, { shards: 3 })
  const ids = [await lost(world, 'withdraw'), await lost(world, 'deposit')]
  const letterIds = await Promise.all(ids.map((id) => openLetter(world, id)))
  const requests = [letterIds[1] ?? 0n, 999n, letterIds[0] ?? 0n].map((letterId) => {
    return { letterId, outcome: 'success' as const, gatewayRef: null }
  })

  const answers = await resolve(world.world, JANE, requests)

  assert.deepEqual(answers, [
    { kind: 'resolved', letterId: letterIds[1], paymentId: ids[1] },
    { kind: 'refused', refusal: { code: 'letter_not_found' } },
    { kind: 'resolved', letterId: letterIds[0], paymentId: ids[0] },
  ])
  await assertBooks(world)
})

test('POST /dlq/{id}/resolve', async (t) => {
  const world = await testWorld(t)
  const app = await server(t, world)
  const id = await lost(world, 'withdraw')
  const url = `/dlq/${await openLetter(world, id)}/resolve`
  const payload = { outcome: 'success', reason: 'On the statement', gateway_ref: 'gw-7' }
  const post = (path: string, body: object, headers = {}) =>
    app.inject({ method: 'POST', url: path, payload: body, headers })

  const wrong = [
    [400, 'body_invalid', { ...payload, outcome: 'maybe' }],
    [400, 'body_invalid', { ...payload, reason: '  ' }],
    [400, 'body_invalid', { ...payload, reason: 'a\u0000b' }],
    [400, 'body_invalid', { ...payload, reason: 'a'.repeat(501) }],
    [400, 'body_invalid', { ...payload, gateway_ref: '\u0000' }],
    [400, 'body_invalid', { outcome: 'success' }],
  ] as const
  for (const [status, code, body] of wrong) {
    const reply = await post(url, body)
    assert.deepEqual([reply.statusCode, reply.json().code], [status, code])
  }
  assert.equal((await post(url, payload, { 'x-actor': 'a b' })).json().code, 'actor_invalid')
  assert.equal((await post('/dlq/999/resolve', payload)).json().code, 'letter_not_found')
  assert.equal((await post('/dlq/0/resolve', payload)).statusCode, 404)

  const done = await post(url, payload, { 'x-actor': 'jane' })
  assert.equal(done.statusCode, 200)
  assert.deepEqual(done.json(), { id: 1, state: 'resolved', payment_id: 1, payment: 'success' })
  const again = await post(url, payload)
  assert.deepEqual([again.statusCode, again.json().code], [409, 'letter_not_open'])
  assert.equal((await app.inject('/dlq/1')).json().closed_by, 'jane')
})

/** Evidence that came by whatever claim: `late` reports are kept, and this one changed nothing. */
async function evidence(
  world: TestWorld,
  id: bigint,
  kind: 'charge' | 'lookup',
  outcome: string,
): Promise<void> {
  await world.sql(
    `insert into payment_attempts
     select shard, id, 1, 3, $2, $3, null, true, 200, created_at, 1, true
     from payments where id = $1`,
    [id, kind, outcome],
  )
}

const AGAINST = [
  ['failed', 'charge', 'success', 'success'],
  ['failed', 'lookup', 'success', 'success'],
  ['success', 'lookup', 'declined', 'declined'],
  // A charge's no says nothing of the one before it whose reply was lost.
  ['success', 'charge', 'declined', null],
  ['success', 'charge', 'success', null],
  ['failed', 'lookup', 'declined', null],
  ['failed', 'lookup', 'not_found', null],
  ['success', 'lookup', 'not_found', null],
] as const

for (const [outcome, kind, said, stored] of AGAINST) {
  const what = stored === null ? 'is taken' : 'is refused until it says that it is meant so'
  test(`the word "${outcome}" where a ${kind} said ${said} ${what}`, async (t) => {
    const world = await testWorld(t)
    const id = await lost(world, 'withdraw')
    await evidence(world, id, kind, said)
    const letterId = await openLetter(world, id)
    const before = await assertBooks(world)

    const answers = await act(world, letterId, outcome)
    if (stored === null) {
      assert.deepEqual(answers, [{ kind: 'resolved', letterId, paymentId: id }])
    } else {
      const refusal = { code: 'evidence_contradicts', paymentId: id, evidence: stored }
      assert.deepEqual(answers, [{ kind: 'refused', refusal }])
      assert.deepEqual(await assertBooks(world), before)
      const insisting = { letterId, outcome, gatewayRef: null, againstEvidence: true }
      const [answer] = await resolve(world.world, JANE, [insisting])
      assert.equal(answer?.kind, 'resolved')
    }
    assert.equal((await world.view(id)).status, outcome)
    const [kept] = await world.sql<{ insisted: string | null }>(
      `select after ->> 'against_evidence' as insisted from operator_acts`,
    )
    assert.equal(kept?.insisted, stored)
    assert.deepEqual(violated(await verifyWorld(world)), [])
  })
}

test('a late yes and an operator’s no leave the yes, or a letter that says so', async (t) => {
  const world = await testWorld(t)
  const ends = new Map<string, number>()
  for (let round = 0; round < 20; round += 1) {
    world.gateway.script = ['success']
    world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
    const [id = 0n] = await accepted(world, 'withdraw')
    const late = await world.claimAndCharge()
    world.clock.advance(20_000)
    world.gateway.script = ['in_doubt']
    await exhaust(world, 4)
    const letterId = await openLetter(world, id)

    const [answers] = await Promise.all([act(world, letterId, 'failed'), world.settle(late)])

    const { status } = await world.view(id)
    const refused = answers[0]?.kind === 'refused'
    assert.equal(status, refused ? 'success' : 'failed')
    const told = (await letters(world, id)).some(({ error }) => error === 'charged_after_failed')
    assert.equal(told, !refused)
    ends.set(status, (ends.get(status) ?? 0) + 1)
    await assertBooks(world)
  }
  t.diagnostic(JSON.stringify([...ends]))
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('POST /dlq/{id}/resolve says what the evidence is, and takes a word against it that is meant so', async (t) => {
  const world = await testWorld(t)
  const app = await server(t, world)
  const id = await lost(world, 'withdraw')
  await evidence(world, id, 'charge', 'success')
  const url = `/dlq/${await openLetter(world, id)}/resolve`
  const payload = { outcome: 'failed', reason: 'The bank says no' }

  const refused = await app.inject({ method: 'POST', url, payload })
  const { code, evidence: stored, payment_id } = refused.json()
  assert.deepEqual([refused.statusCode, code], [409, 'evidence_contradicts'])
  assert.deepEqual([stored, payment_id], ['success', Number(id)])
  const insisting = { ...payload, against_evidence: true }
  assert.equal((await app.inject({ method: 'POST', url, payload: insisting })).statusCode, 200)
})
