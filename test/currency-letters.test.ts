import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { correct } from '../src/dead-letters/correct.ts'
import { resolve } from '../src/dead-letters/resolve.ts'
import { acceptor } from '../src/payments/accept.ts'
import { isRefusal, readDraft } from '../src/payments/api.ts'
import { plan } from '../src/runs/letters.ts'
import { start, step } from '../src/runs/run.ts'
import { openUsers } from '../src/users/open.ts'
import { openedId, testWorld, type TestWorld } from './harness.ts'
import { JANE, openLetter } from './operators.ts'
import { ALL } from './redrive-kit.ts'
import { serve } from './serve.ts'
import { verifyWorld, violated } from './verify-history.ts'

const ROLES = { api: true, worker: false, mockGateway: false }

/** An account, and a payment of it: what is asked for, and what it comes to in minor units. */
interface Case {
  /** Null: that of the books, which are in USD. */
  readonly currency: string | null
  readonly balance: bigint
  readonly amount: string
  readonly minor: bigint
  readonly commission: bigint
}

/** The floor decides in JPY, the rate in the others. */
const FEES = { bps: 200, mins: new Map([['USD', 30n] as const, ['JPY', 40n] as const]) }
const CASES: readonly Case[] = [
  { currency: null, balance: 20_000n, amount: '50.25', minor: 5_025n, commission: 101n },
  { currency: 'JPY', balance: 20_000n, amount: '1500', minor: 1_500n, commission: 40n },
  { currency: 'KWD', balance: 20_000n, amount: '10.125', minor: 10_125n, commission: 203n },
]

const codeOf = ({ currency }: Case) => currency ?? 'USD'

/** An account for each case, and one payment of each that is charged as the script says. */
async function paid(
  t: TestContext,
  type: 'deposit' | 'withdraw',
  script: TestWorld['gateway']['script'],
) {
  const world = await testWorld(t)
  const shard = world.db.of(1n)
  const accept = acceptor({ shard, currency: 'USD', fees: FEES })
  const opened = await openUsers(world.db, CASES)
  const users = opened.map(openedId)
  const drafts = CASES.map(({ amount, currency }, index): PaymentDraft => {
    const userId = Number(users[index])
    const fields = { type, userId, amount, currency: currency ?? 'USD' }
    const draft = readDraft(fields, { ok: true, key: null }, 2)
    assert.ok(!isRefusal(draft))
    return draft
  })
  world.gateway.script = [...script]
  const ids = (await accept(drafts)).map((answer) => {
    assert.ok(answer.kind === 'accepted', JSON.stringify(answer.kind))
    return answer.payment.id
  })
  const look = async () => {
    world.clock.advance(40_000)
    await world.work()
  }
  await world.work()
  const letter = (id: bigint) => openLetter(world, id)
  const each = CASES.map((one, index) => ({
    ...one,
    id: ids[index] ?? 0n,
    userId: users[index] ?? 0n,
  }))
  return { world, each, letter, look }
}

/** What users have, what is held, and what the accounts of each currency come to. */
async function booksOf(world: TestWorld) {
  const rows = await world.sql<Record<string, bigint | string>>(`
    select coalesce(owner.currency, 'USD') as currency,
      sum(user_available)::bigint as available, sum(user_held)::bigint as held,
      sum(gateway)::bigint as gateway, sum(fees)::bigint as fees, sum(losses)::bigint as losses
    from postings join users owner on owner.id = postings.user_id
    group by 1 order by 1`)
  return Object.fromEntries(rows.map(({ currency, ...sums }) => [String(currency), sums]))
}

test('a redrive over several currencies sums each, and repeats each payment as it was', async (t) => {
  const { world, each } = await paid(t, 'withdraw', ['declined'])
  const planned = await plan(world.world, ALL, 'jane')
  assert.equal(planned.run.amount, 5_025n)
  assert.deepEqual(planned.run.others, {
    JPY: { count: 1, amount: '1500' },
    KWD: { count: 1, amount: '10125' },
  })
  assert.deepEqual(
    planned.sums,
    each.map(({ currency, minor }) => ({ currency, count: 1, amount: minor })),
  )
  const by = { actor: 'jane', reason: 'back', requestId: 'r2', ratePerSecond: 10 }
  await start(world.world, planned.run.id, by)
  assert.equal(await step(world.world, null), 3)
  const repeats = await world.sql(
    `select redrive_of as of, currency, amount, commission from payments
     where redrive_of is not null order by redrive_of`,
  )
  assert.deepEqual(
    repeats,
    each.map(({ id, currency, minor, commission }) => {
      return { of: id, currency, amount: minor, commission }
    }),
  )
  const held = await booksOf(world)
  for (const one of each) {
    const cost = one.minor + one.commission
    const sums = { available: one.balance - cost, held: cost, gateway: 0n, fees: 0n, losses: 0n }
    assert.deepEqual(held[codeOf(one)], sums)
  }
  world.gateway.script = ['success']
  world.clock.advance(1_000)
  await world.work()
  const done = await booksOf(world)
  for (const one of each) {
    const available = one.balance - one.minor - one.commission
    const sums = { available, held: 0n, gateway: one.minor, fees: one.commission, losses: 0n }
    assert.deepEqual(done[codeOf(one)], sums)
  }
  assert.deepEqual(violated(await verifyWorld(world)), [])
})

test('a redrive that an account cannot pay is refused with what it takes in its currency', async (t) => {
  const { world, each, letter } = await paid(t, 'withdraw', ['declined'])
  // Somebody else had the money meanwhile: each has one minor unit too little.
  for (const { userId, minor, commission } of each) {
    await world.sql(`update users set available = ${minor + commission - 1n} where id = ${userId}`)
  }
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const required = ['51.26', '1540', '10.328']
  for (const [index, { id }] of each.entries()) {
    const path = `/dlq/${await letter(id)}/redrive`
    for (const replayed of [null, 'true']) {
      const answer = await call(
        'POST',
        path,
        { reason: 'back' },
        { 'idempotency-key': `k${index}` },
      )
      assert.equal(answer.status, 402)
      assert.match(answer.text, new RegExp(`"required":${required[index]}[,}]`))
      assert.equal(answer.headers.get('idempotent-replayed'), replayed)
    }
  }
})

test('letters, and what a redrive would do, are shown with the decimals of their currency', async (t) => {
  const { world } = await paid(t, 'deposit', ['declined'])
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const { text } = await call('GET', '/dlq')
  const dry = await call('POST', '/dlq/redrive', { filter: {}, dry_run: true })
  for (const [currency, amount] of [
    ['USD', '50.25'],
    ['JPY', '1500'],
    ['KWD', '10.125'],
  ]) {
    const shown = text.split('},{').find((one) => one.includes(`"currency":"${currency}"`))
    assert.ok(shown?.includes(`"amount":${amount},`), shown)
  }
  assert.equal(dry.body['amount'], 50.25)
  assert.deepEqual(dry.body['other_amounts'], [
    { currency: 'JPY', count: 1, amount: 1_500 },
    { currency: 'KWD', count: 1, amount: 10.125 },
  ])
})

for (const type of ['deposit', 'withdraw'] as const) {
  for (const outcome of ['success', 'failed'] as const) {
    test(`a ${type} resolved as ${outcome} is booked in the currency of its account`, async (t) => {
      const { world, each, letter, look } = await paid(t, type, ['lost_reply'])
      world.gateway.lookups = { kind: 'no_answer', reason: 'timeout' }
      for (let round = 0; round < 4; round += 1) await look()
      for (const { id } of each) {
        const word = { letterId: await letter(id), outcome, gatewayRef: `gw-${id}` }
        assert.equal((await resolve(world.world, JANE, [word]))[0]?.kind, 'resolved')
      }
      const sums = await booksOf(world)
      for (const one of each) {
        const { balance, minor, commission } = one
        const moved = type === 'deposit' ? commission - minor : minor + commission
        const yes = {
          available: balance - moved,
          held: 0n,
          gateway: type === 'deposit' ? -minor : minor,
          fees: commission,
          losses: 0n,
        }
        const no = { ...yes, available: balance, gateway: 0n, fees: 0n }
        assert.deepEqual(sums[codeOf(one)], outcome === 'success' ? yes : no)
      }
      assert.deepEqual(violated(await verifyWorld(world)), [])
    })
  }

  test(`a ${type} that was charged after it had failed is corrected in its currency`, async (t) => {
    const { world, each, letter } = await paid(t, type, ['declined'])
    await world.sql(`update dead_letters set error = 'charged_after_failed'`)
    // Each can pay for all but 7 of its minor units.
    for (const { userId, minor, commission } of each) {
      const left = minor + commission - 7n
      await world.sql(`update users set available = ${left} where id = ${userId}`)
    }
    for (const { id } of each) {
      const [answer] = await correct(world.world, JANE, [
        { letterId: await letter(id), gatewayRef: null },
      ])
      assert.equal(answer?.kind, 'corrected')
    }
    const lates = await world.sql<Record<string, bigint>>(
      `select payment_id as id, user_available as user, gateway, fees, losses from postings
       where kind = 'settle_late' order by payment_id`,
    )
    assert.deepEqual(
      lates,
      each.map(({ id, minor, commission }) =>
        type === 'deposit'
          ? { id, user: minor - commission, gateway: -minor, fees: commission, losses: 0n }
          : { id, user: -(minor + commission - 7n), gateway: minor, fees: commission, losses: -7n },
      ),
    )
  })
}
