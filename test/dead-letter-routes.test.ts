import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { step } from '../src/runs/run.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { assertBooks, openLetter, server } from './operators.ts'
import { badNight, jpyNight } from './redrive-kit.ts'

/** The routes on the books of a night with ten failed payments and an unknown one. */
async function routesOf(t: TestContext) {
  const world = await testWorld(t)
  const { failed, unknown } = await badNight(world)
  return { world, failed, unknown, ...(await callsOf(t, world)) }
}

async function callsOf(t: TestContext, world: TestWorld) {
  const app = await server(t, world)
  const get = async (url: string) => (await app.inject(url)).json()
  const post = async (url: string, payload?: object) => {
    const headers = { 'x-actor': 'jane' }
    const reply = await app.inject({ method: 'POST', url, headers, ...(payload && { payload }) })
    return { status: reply.statusCode, body: reply.json(), headers: reply.headers }
  }
  return { get, post }
}

/** Plan to redrive all failed payments; the snapshot's number. */
async function planned({ post }: Awaited<ReturnType<typeof callsOf>>): Promise<number> {
  const plan = await post('/dlq/redrive', { filter: { class: 'failed' }, dry_run: true })
  assert.equal(plan.status, 200)
  return plan.body.snapshot
}

test('dead letters are listed by class and state, and shown by their number', async (t) => {
  const { world, unknown, get } = await routesOf(t)
  assert.equal((await get('/dlq?class=unknown')).length, 1)
  assert.equal((await get('/dlq?state=open&limit=5')).length, 5)
  assert.equal((await get('/dlq?state=redriven')).length, 0)
  assert.equal((await get('/dlq?state=closed')).code, 'query_invalid')
  const [letter] = await get('/dlq?class=unknown')
  const own = `class=unknown&state=open&error=${letter.error}`
  assert.deepEqual(await get(`/dlq?${own}`), [letter])
  assert.deepEqual(await get(`/dlq?${own}&offset=1`), [])
  assert.deepEqual(await get('/dlq?class=unknown&state=open&error=nothing'), [])
  const { code, errors } = await get(`/dlq?error=${letter.error}`)
  assert.deepEqual(
    [code, errors.length],
    ['query_invalid', 2],
    'an error is of a class and a state',
  )
  const letterId = await openLetter(world, unknown)
  assert.equal((await get(`/dlq/${letterId}`)).payment_id, Number(unknown))
  assert.equal((await get('/dlq/999')).code, 'letter_not_found')
  assert.equal((await get('/dlq/x')).code, 'letter_not_found')
  await assertBooks(world)
})

test('a redrive names the payment that goes on: the old one, or the one that repeats it', async (t) => {
  const { world, failed, unknown, post } = await routesOf(t)
  const letterId = await openLetter(world, unknown)
  const one = await post(`/dlq/${letterId}/redrive`, { reason: 'back' })
  assert.deepEqual([one.status, one.body.new_payment_id], [202, null])
  assert.equal(one.headers['location'], `/api/v1/payments/${unknown}`)
  const again = await post(`/dlq/${letterId}/redrive`, { reason: 'back' })
  assert.deepEqual([again.status, again.body.code], [409, 'letter_not_open'])
  const other = await post(`/dlq/${await openLetter(world, failed[0] ?? 0n)}/redrive`, {
    reason: 'back',
  })
  assert.equal(other.headers['location'], `/api/v1/payments/${other.body.new_payment_id}`)
  await assertBooks(world)
})

const WRONG: readonly ((snapshot: number) => object)[] = [
  () => ({}),
  () => ({ filter: {} }),
  () => ({ filter: {}, dry_run: false }),
  () => ({ filter: { state: 'open' }, dry_run: true }),
  () => ({ filter: { created_before: 'yesterday' }, dry_run: true }),
  () => ({ filter: { created_before: '2030-01-01T23:59:60Z' }, dry_run: true }),
  () => ({ filter: { created_after: '0000-01-01T00:00:00Z' }, dry_run: true }),
  () => ({ filter: { error: '\u0000' }, dry_run: true }),
  (snapshot) => ({ snapshot }),
  (snapshot) => ({ snapshot, reason: 'back', rate_per_second: 0 }),
  (snapshot) => ({ snapshot, reason: 'back', rate_per_second: 501 }),
  () => ({ snapshot: 'one', reason: 'back' }),
]

test('a redrive of many that says too little, or what cannot be, is refused as a body', async (t) => {
  const routes = await routesOf(t)
  const snapshot = await planned(routes)
  for (const wrong of WRONG) {
    const body = wrong(snapshot)
    const reply = await routes.post('/dlq/redrive', body)
    assert.deepEqual([reply.status, reply.body.code], [400, 'body_invalid'], JSON.stringify(body))
  }
  await assertBooks(routes.world)
})

test('a redrive of many is planned, started once, watched and canceled once', async (t) => {
  const { world, failed, get, post } = await routesOf(t)
  const first = await openLetter(world, failed[0] ?? 0n)
  assert.equal((await post(`/dlq/${first}/redrive`, { reason: 'back' })).status, 202)
  const plan = await post('/dlq/redrive', { filter: { class: 'failed' }, dry_run: true })
  assert.deepEqual([plan.status, plan.body.count, plan.body.amount], [200, 9, 450])
  const { snapshot } = plan.body
  assert.equal((await post('/dlq/redrive', { snapshot: 999, reason: 'x' })).status, 404)
  const started = await post('/dlq/redrive', { snapshot, reason: 'back', rate_per_second: 5 })
  assert.deepEqual([started.status, started.body.state], [202, 'running'])
  assert.equal(started.headers['location'], `/api/v1/dlq/redrives/${snapshot}`)
  assert.equal((await post('/dlq/redrive', { snapshot, reason: 'back' })).status, 409)
  await step(world.world, null)
  const half = await get(`/dlq/redrives/${snapshot}`)
  assert.deepEqual([half.done, half.total, half.redriven], [5, 9, 5])
  const canceled = await post(`/dlq/redrives/${snapshot}/cancel`)
  assert.deepEqual([canceled.status, canceled.body.canceled_by], [200, 'jane'])
  assert.equal((await post(`/dlq/redrives/${snapshot}/cancel`)).status, 409)
  assert.equal((await post('/dlq/redrives/999/cancel')).status, 404)
  assert.equal((await get('/dlq/redrives/999')).code, 'redrive_not_found')
  await assertBooks(world)
})

test('a redrive of letters in several currencies shows what each comes to, in its own decimals', async (t) => {
  const { world } = await jpyNight(t)
  const { get, post } = await callsOf(t, world)
  const { body: plan } = await post('/dlq/redrive', { filter: {}, dry_run: true })
  const yen = { currency: 'JPY', count: 1, amount: 500 }
  assert.deepEqual([plan.count, plan.amount, plan.other_amounts], [2, 50, [yen]])
  assert.deepEqual(plan.by_class, [
    { class: 'failed', count: 1, amount: 50 },
    { class: 'failed', ...yen },
  ])
  const sample = plan.sample as { amount: number; commission: number; currency?: string }[]
  assert.deepEqual(
    sample.map(({ amount, commission, currency }) => [amount, commission, currency]),
    [
      [50, 1, undefined],
      [500, 10, 'JPY'],
    ],
  )
  const { body: run } = await post('/dlq/redrive', { snapshot: plan.snapshot, reason: 'back' })
  const read = await get(`/dlq/redrives/${plan.snapshot}`)
  for (const { amount, other_amounts: others } of [run, read]) {
    assert.deepEqual([amount, others], [50, [yen]])
  }
})
