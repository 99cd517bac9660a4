import assert from 'node:assert/strict'
import { test } from 'node:test'
import { redrive } from '../src/dead-letters/redrive.ts'
import { plan } from '../src/runs/letters.ts'
import { start, step } from '../src/runs/run.ts'
import { readRun } from '../src/runs/read-store.ts'
import { againstRedrive, NO_EVIDENCE, type GatewayTerms } from '../src/domain/evidence.ts'
import type { Promises } from '../src/domain/charge-decision.ts'
import { testWorld, type TestWorld } from './harness.ts'
import {
  accepted,
  assertBooks,
  declined,
  exhaust,
  JANE,
  letters,
  lost,
  openLetter,
  server,
} from './operators.ts'
import { ALL } from './redrive-kit.ts'
import { verifyWorld, violated } from './verify-history.ts'

const HOUR = 3_600_000

/** A gateway that can neither be asked nor charged again. */
const NEITHER: Promises = { repeats: 'may_execute_again', keyLifeMs: HOUR, lookup: 'none' }

async function redriveOf(world: TestWorld, paymentId: bigint, againstEvidence = false) {
  const letterId = await openLetter(world, paymentId)
  const [answer] = await redrive(world.world, JANE, [{ letterId, delayMs: 0, againstEvidence }])
  return answer
}

const PROFILES = [
  ['first_answer', 'consistent'],
  ['first_answer', 'eventual'],
  ['first_answer', 'none'],
  ['executes_once', 'none'],
  ['may_execute_again', 'consistent'],
  ['may_execute_again', 'none'],
] as const

const AGES = [
  ['within its key’s life', 0.5 * HOUR],
  ['past its key’s life', 2 * HOUR],
] as const

for (const [repeats, lookup] of PROFILES) {
  for (const [when, firstSentAgeMs] of AGES) {
    test(`a payment in doubt ${when} is redriven where that can tell: ${repeats}, ${lookup}`, () => {
      const terms: GatewayTerms = { repeats, lookup, keyLifeMs: HOUR, timeoutMs: 5_000 }
      const known = { ...NO_EVIDENCE, doubted: true, firstSentAgeMs }
      const alive = firstSentAgeMs < HOUR && repeats !== 'may_execute_again'
      const refusal = lookup === 'none' && !alive ? { code: 'redrive_impossible' } : null
      assert.deepEqual(againstRedrive('unknown', known, terms), refusal)
      // What is known needs no asking.
      assert.equal(againstRedrive('unknown', { ...known, yes: true }, terms), null)
    })
  }
}

const TERMS: GatewayTerms = {
  repeats: 'first_answer',
  lookup: 'eventual',
  keyLifeMs: HOUR,
  timeoutMs: 5_000,
}

const FAILED = [
  ['nothing', {}, TERMS, null],
  ['a yes', { yes: true }, TERMS, 'evidence_contradicts'],
  ['a yes and a lookup’s no', { yes: true, no: true }, TERMS, 'evidence_contradicts'],
  ['a charge in doubt', { doubted: true }, TERMS, 'maybe_executed'],
  ['a decline', { declined: true }, TERMS, null],
  ['a charge in doubt and a lookup’s no', { doubted: true, no: true }, TERMS, null],
  ['a charge in doubt that no lookup finds', { doubted: true, absent: true }, TERMS, null],
  ['the first answer to a charge in doubt', { doubted: true, declined: true }, TERMS, null],
  [
    'a decline after a charge in doubt, where it may be another’s',
    { doubted: true, declined: true },
    { ...TERMS, repeats: 'executes_once' as const },
    'maybe_executed',
  ],
] as const

for (const [seen, known, terms, code] of FAILED) {
  test(`a failed payment with ${seen} is ${code === null ? '' : 'not '}charged again`, () => {
    const refusal = againstRedrive('failed', { ...NO_EVIDENCE, ...known }, terms)
    assert.equal(refusal?.code ?? null, code)
  })
}

/** Evidence that came by whatever claim. */
async function evidence(world: TestWorld, id: bigint, outcome: string, status: number | null) {
  await world.sql(
    `insert into payment_attempts
     select shard, id, 1, 3, 'charge', $2, null, true, $3, created_at, 1, true
     from payments where id = $1`,
    [id, outcome, status],
  )
}

test('redriving a payment that some call saw charged settles it, and nobody is asked or charged', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  await evidence(world, id, 'success', 200)
  world.gateway.calls.length = 0

  const answer = await redriveOf(world, id)

  assert.equal(answer?.kind, 'redriven')
  const view = await world.view(id)
  assert.deepEqual([view.status, view.attempts, view.payment.lastError], ['success', 3, null])
  assert.equal((await letters(world, id))[0]?.state, 'redriven')
  assert.deepEqual(await world.sql('select payment_id from payment_tasks'), [])
  await exhaust(world, 3)
  assert.deepEqual(world.gateway.calls, [])
  const books = await assertBooks(world)
  assert.deepEqual([books['held'], books['gateway'], books['fees']], [0n, 5_000n, 100n])
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a payment that failed by a refusal that was no decline is repeated only by who insists', async (t) => {
  const world = await testWorld(t)
  const id = await lost(world, 'withdraw')
  // As it was settled once: a 401 to a repeated charge was taken for the gateway’s no.
  await evidence(world, id, 'declined', 401)
  await world.sql(
    `update payments set status = 'failed', last_error = 'http_401', finished_at = created_at`,
  )
  await world.sql("update dead_letters set class = 'failed', error = 'http_401'")
  await world.sql('delete from payment_tasks')
  await world.sql(`
    insert into postings select shard, user_id, payment_id, 'release', -user_available, -user_held,
      0, 0, 0, created_at from postings where kind = 'hold'`)
  await world.sql('update users set available = available + held, held = 0')

  const dry = await plan(world.world, ALL, 'jane')
  const own = { code: 'maybe_executed', currency: null, count: 1, amount: 5_000n }
  assert.deepEqual(dry.refused, [own])
  const refusal = { code: 'maybe_executed', paymentId: id, evidence: 'in_doubt' }
  assert.deepEqual(await redriveOf(world, id), { kind: 'refused', refusal })
  assert.equal((await letters(world, id))[0]?.state, 'open')

  const answer = await redriveOf(world, id, true)
  assert.equal(answer?.kind, 'redriven')
  const [kept] = await world.sql<{ insisted: string }>(
    `select after ->> 'against_evidence' as insisted from operator_acts`,
  )
  assert.equal(kept?.insisted, 'in_doubt')
  await assertBooks(world)
})

test('a failed payment that some call saw charged is not charged again, whoever insists', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  await evidence(world, id, 'success', 200)
  const refusal = { code: 'evidence_contradicts', paymentId: id, evidence: 'success' }
  for (const insists of [false, true]) {
    assert.deepEqual(await redriveOf(world, id, insists), { kind: 'refused', refusal })
  }
  assert.equal((await letters(world, id))[0]?.state, 'open')
  assert.deepEqual(await world.sql('select from payments where redrive_of is not null'), [])
  await assertBooks(world)
})

test('POST /dlq/{id}/redrive and a dry run say that a redrive would come to nothing', async (t) => {
  const world = await testWorld(t, { script: ['lost_reply'], profile: NEITHER })
  const app = await server(t, world)
  const [id = 0n] = await accepted(world, 'withdraw')
  await exhaust(world, 6)
  const letterId = await openLetter(world, id)
  const post = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })

  const one = await post(`/dlq/${letterId}/redrive`, { reason: 'again' })
  assert.deepEqual([one.statusCode, one.json().code], [409, 'redrive_impossible'])
  const insisting = { reason: 'again', against_evidence: true }
  const insisted = await post(`/dlq/${letterId}/redrive`, insisting)
  assert.deepEqual([insisted.statusCode, insisted.json().code], [409, 'redrive_impossible'])

  const dry = (await post('/dlq/redrive', { filter: {}, dry_run: true })).json()
  assert.equal(dry.count, 1)
  assert.deepEqual(dry.would_refuse, [{ code: 'redrive_impossible', count: 1, amount: 50 }])

  const started = await post('/dlq/redrive', { snapshot: dry.snapshot, reason: 'all the same' })
  assert.equal(started.statusCode, 202)
  assert.equal(await step(world.world, null), 1)
  const run = (await app.inject(`/dlq/redrives/${dry.snapshot}`)).json()
  assert.deepEqual([run.state, run.redriven, run.refused], ['done', 0, 1])
  assert.deepEqual(run.refusals, { redrive_impossible: 1 })
  const [letter, ...others] = await letters(world, id)
  assert.deepEqual([letter?.state, others], ['open', []])
})

test('a dry run says of each letter what the redrive then comes to', async (t) => {
  const world = await testWorld(t)
  const [charged = 0n, ended = 0n] = await declined(world, 'withdraw', 3)
  await evidence(world, charged, 'success', 200)
  // It was unknown when its letter was opened.
  await world.sql("update dead_letters set class = 'unknown' where payment_id = $1", [ended])

  const dry = await plan(world.world, ALL, 'jane')
  await start(world.world, dry.run.id, { ...JANE, reason: 'x', ratePerSecond: 10 })
  await step(world.world, dry.run.id)

  const foreseen = Object.fromEntries(dry.refused.map(({ code, count }) => [code, count]))
  const each = { evidence_contradicts: 1, payment_final: 1 }
  assert.deepEqual(foreseen, each)
  const { carriedOut, refusals } = (await readRun(world.db.global, dry.run.id)) ?? dry.run
  assert.deepEqual([carriedOut, refusals], [1, each])
})

test('a run adds up over its steps why letters were refused', async (t) => {
  const world = await testWorld(t, { script: ['lost_reply'], profile: NEITHER })
  await accepted(world, 'withdraw', 5)
  await exhaust(world, 6)
  const { run } = await plan(world.world, ALL, 'jane')
  await start(world.world, run.id, { actor: 'jane', reason: 'x', requestId: 'r', ratePerSecond: 2 })
  while ((await step(world.world, run.id)) !== null) world.clock.advance(1_000)
  const { state, refused, refusals } = (await readRun(world.db.global, run.id)) ?? run
  assert.deepEqual([state, refused, refusals], ['done', 5, { redrive_impossible: 5 }])
})
