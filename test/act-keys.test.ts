import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { plan } from '../src/runs/letters.ts'
import { cancel as cancelRun, step } from '../src/runs/run.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { declined, openLetter } from './operators.ts'
import { ALL } from './redrive-kit.ts'
import { done, refunded } from './refunds-kit.ts'
import { serve, type Reply } from './serve.ts'
import { verifyWorld, violated } from './verify-history.ts'

const ROLES = { api: true, worker: false, mockGateway: false }
const reason = 'ticket 4711'

/** An act that can be asked for, on a world of its own. */
interface Act {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  /** Counts what the act makes. */
  readonly made: string
  /** Every other field of the request, as it was not said. */
  readonly others?: Readonly<Record<string, unknown>>
}

/** A letter about a deposit that failed, and was executed after all. */
async function chargedAfterFailed(world: TestWorld): Promise<bigint> {
  const [id = 0n] = await declined(world, 'deposit')
  await world.sql(`update dead_letters set error = 'charged_after_failed' where payment_id = ${id}`)
  return openLetter(world, id)
}

/** A dry run of everything, as a start names it. */
async function snapshotOf(world: TestWorld) {
  return { snapshot: Number((await plan(world.world, ALL, 'jane')).run.id) }
}

const ACTS: Readonly<Record<string, (world: TestWorld) => Promise<Act>>> = {
  async cancel(world) {
    const { id } = await done(world)
    const refund = await refunded(world, id, '10')
    const made = "select count(*) from operator_acts where act = 'cancel'"
    return { path: `/payments/${refund}/cancel`, body: { reason }, made }
  },
  async return(world) {
    const { id } = await done(world)
    // It is canceled by the charge-back, and both answers say so.
    await refunded(world, id, '10')
    const body = { kind: 'charged_back', amount: 95, gateway_ref: 'rt_1', reason }
    const made = "select count(*) from payments where type = 'return'"
    const others = {
      kind: 'refunded_there',
      amount: 94,
      gateway_ref: 'rt_2',
      besides_refund: true,
    }
    return { path: `/payments/${id}/returns`, body, made, others }
  },
  async redrive(world) {
    const [id = 0n] = await declined(world, 'withdraw')
    const made = 'select count(*) from payments where redrive_of is not null'
    const path = `/dlq/${await openLetter(world, id)}/redrive`
    return { path, body: { reason }, made, others: { against_evidence: true } }
  },
  async start(world) {
    await declined(world, 'deposit', 3)
    const body = { ...(await snapshotOf(world)), reason, rate_per_second: 2 }
    const made = "select count(*) from redrives where state <> 'planned'"
    const others = { snapshot: body.snapshot + 1, rate_per_second: 3 }
    return { path: '/dlq/redrive', body, made, others }
  },
  async resolve(world) {
    const [id = 0n] = await declined(world, 'withdraw')
    const body = { outcome: 'failed', reason }
    const made = "select count(*) from operator_acts where act = 'resolve'"
    const others = { outcome: 'success', gateway_ref: 'gw-1', against_evidence: true }
    return { path: `/dlq/${await openLetter(world, id)}/resolve`, body, made, others }
  },
  async correct(world) {
    const letter = await chargedAfterFailed(world)
    const made = "select count(*) from postings where kind = 'settle_late'"
    const others = { gateway_ref: 'gw-1', against_evidence: true, besides_redrive: true }
    return { path: `/dlq/${letter}/correct`, body: { reason }, made, others }
  },
  async erase(world) {
    const { userId } = await done(world)
    const made = "select count(*) from operator_acts where act = 'erase'"
    return { path: `/users/${userId}/erase`, body: { reason }, made }
  },
}

async function shop(t: TestContext, make: (world: TestWorld) => Promise<Act>) {
  const world = await testWorld(t)
  const act = await make(world)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const ask = (more: object = {}, key: string | null = 'k', path = act.path): Promise<Reply> =>
    call(
      'POST',
      path,
      { ...act.body, ...more },
      {
        // Clients and proxies keep the name of a request over its repetitions.
        'x-request-id': 'trace-9',
        ...(key === null ? {} : { 'idempotency-key': key }),
      },
    )
  const made = async () => {
    const [row] = await world.sql<{ count: bigint }>(act.made)
    return Number(row?.count)
  }
  return { world, call, ask, made, act }
}

for (const [name, make] of Object.entries(ACTS)) {
  test(`${name}: the same request with the same key is carried out once and answered the same`, async (t) => {
    const { ask, made } = await shop(t, make)
    const first = await ask()
    assert.ok(first.status < 300, first.text)
    assert.equal(first.headers.get('idempotent-replayed'), null)
    for (const key of ['k', '"k"']) {
      const again = await ask({}, key)
      assert.deepEqual([again.status, again.text], [first.status, first.text])
      assert.equal(again.headers.get('location'), first.headers.get('location'))
      assert.equal(again.headers.get('idempotent-replayed'), 'true')
    }
    assert.equal(await made(), 1)
  })

  test(`${name}: twenty requests at once with one key make one, and have one answer`, async (t) => {
    const { ask, made } = await shop(t, make)
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask()))
    // Who waits too long for somebody else's lock is told to come again.
    const told = answers.filter(({ status }) => status !== 503)
    assert.ok(told.length > 0)
    assert.equal(new Set(told.map(({ status, text }) => `${status} ${text}`)).size, 1)
    assert.ok((told[0]?.status ?? 0) < 300, told[0]?.text)
    const firsts = told.filter(({ headers }) => headers.get('idempotent-replayed') === null)
    assert.ok(firsts.length <= 1)
    assert.equal(await made(), 1)
  })

  test(`${name}: the same key with other fields is refused as that of a payment is`, async (t) => {
    const { ask, made } = await shop(t, make)
    assert.ok((await ask()).status < 300)
    const other = await ask({ reason: 'another' })
    assert.deepEqual([other.status, other.body['code']], [422, 'idempotency_key_reuse'])
    assert.deepEqual(other.body['errors'], [{ pointer: '/reason', code: 'differs' }])
    // A redrive of many is about no single payment.
    const about = name === 'erase' ? 'user_id' : 'payment_id'
    assert.equal(typeof other.body[about], name === 'start' ? 'undefined' : 'number')
    const bad = await ask({}, 'a b')
    assert.deepEqual([bad.status, bad.body['code']], [400, 'idempotency_key_invalid'])
    assert.equal(await made(), 1)
  })
}

/** The fields of the request of an act, by the document of the API. */
async function fieldsOf({ path, body }: Act): Promise<string[]> {
  const { paths, components } = JSON.parse(
    await readFile(new URL('../docs/openapi.json', import.meta.url), 'utf8'),
  ) as Document
  const route = `/api/v1${path.replace(/\/\d+/, '/{id}')}`
  let schema = paths[route]?.post?.requestBody.content['application/json'].schema ?? {}
  while (schema.properties === undefined) {
    const { $ref, anyOf } = schema
    // Of two forms, that of a start.
    const next = $ref === undefined ? anyOf?.[1] : components.schemas[$ref.replace(/.*\//, '')]
    assert.ok(next)
    schema = next
  }
  const { properties } = schema
  assert.ok(Object.keys(body).every((name) => name in properties))
  return Object.keys(properties)
}

interface Schema {
  readonly properties?: object
  readonly anyOf?: readonly Schema[]
  readonly $ref?: string
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      {
        readonly post?: {
          readonly requestBody: {
            readonly content: { readonly 'application/json': { readonly schema: Schema } }
          }
        }
      }
    >
  >
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

for (const [name, make] of Object.entries(ACTS)) {
  test(`${name}: each field of the request is what its key stands for`, async (t) => {
    const { ask, act } = await shop(t, make)
    const others = { reason: 'another', ...act.others }
    assert.deepEqual(Object.keys(others).toSorted(), (await fieldsOf(act)).toSorted())
    assert.ok((await ask()).status < 300)
    for (const [field, value] of Object.entries(others)) {
      const { status, body } = await ask({ [field]: value })
      assert.deepEqual([status, body['code']], [422, 'idempotency_key_reuse'], field)
      assert.deepEqual(body['errors'], [{ pointer: `/${field}`, code: 'differs' }])
    }
    assert.equal((await ask()).headers.get('idempotent-replayed'), 'true')
  })
}

const CARD = 'Visa 4111 1111 1111 1111, asked for by telephone'

for (const [name, make] of Object.entries(ACTS)) {
  test(`${name}: a card number in the reason is refused, and nothing is done`, async (t) => {
    const { ask, made } = await shop(t, make)
    const { status, body } = await ask({ reason: CARD })
    const errors = [{ pointer: '/reason', code: 'card_number' }]
    assert.deepEqual([status, body['code'], body['errors']], [422, 'card_number', errors])
    assert.equal(await made(), 0)
  })
}

test('a card number in the reason of a refund is refused', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const { status, body } = await call('POST', `/payments/${id}/refunds`, { reason: CARD })
  assert.deepEqual([status, body['code']], [422, 'card_number'])
})

test('a key stands for one act of a user, whatever is asked for at the same time', async (t) => {
  const world = await testWorld(t)
  const { id } = await done(world)
  const refunds = [await refunded(world, id, '1'), await refunded(world, id, '1')]
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const key = { 'idempotency-key': 'k' }
  const cancel = (refund: bigint) => call('POST', `/payments/${refund}/cancel`, { reason }, key)
  const answers = await Promise.all(refunds.map(cancel))
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 422])
  const [row] = await world.sql<{ count: bigint }>(
    "select count(*) from payments where last_error = 'canceled'",
  )
  assert.equal(row?.count, 1n)
  const refused = answers.find(({ status }) => status === 422)
  assert.deepEqual(refused?.body['errors'], [{ pointer: '/path', code: 'differs' }])
})

test('a refused act keeps no key, and another user may use the same', async (t) => {
  const world = await testWorld(t)
  const one = await done(world)
  const two = await done(world)
  const refund = await refunded(world, one.id, '1')
  const other = await refunded(world, two.id, '1')
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const cancel = (id: bigint) =>
    call('POST', `/payments/${id}/cancel`, { reason }, { 'idempotency-key': 'k' })
  assert.equal((await cancel(one.id)).body['code'], 'payment_final')
  assert.equal((await cancel(999n)).body['code'], 'payment_not_found')
  assert.equal((await cancel(refund)).status, 200)
  assert.equal((await cancel(other)).status, 200)
})

test('a redrive refused for lack of funds stays refused under its key, whatever is paid in', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  const [{ userId = 0n } = {}] = await world.sql<{ userId: bigint }>(
    `select user_id as "userId" from payments where id = ${id}`,
  )
  const letter = await openLetter(world, id)
  const move = async (type: 'deposit' | 'withdraw') => {
    world.gateway.script = ['success']
    const draft = { type, userId, amount: 5_000n, idempotencyKey: null }
    assert.equal((await world.accept([draft]))[0]?.kind, 'accepted')
    await world.work()
  }
  await move('withdraw')
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const ask = (key: string | null, why = reason) =>
    call(
      'POST',
      `/dlq/${letter}/redrive`,
      { reason: why },
      key === null ? {} : { 'idempotency-key': key },
    )
  const said = ({ text }: Reply) => text.replace(/"instance":"[^"]*",/, '')
  const unkept = await ask(null)
  assert.deepEqual([unkept.status, unkept.body['required']], [402, 51])
  const first = await ask('k')
  assert.equal(said(first), said(unkept))
  assert.equal(first.headers.get('idempotent-replayed'), null)
  await move('deposit')
  await move('deposit')
  const again = await ask('k')
  assert.deepEqual([again.status, said(again)], [402, said(first)])
  assert.equal(again.headers.get('idempotent-replayed'), 'true')
  assert.equal((await ask('k', 'another')).body['code'], 'idempotency_key_reuse')
  const acts = await world.sql(`select act, letter_id as letter, before, after from operator_acts`)
  const was = { payment: 'failed', letter: 'open' }
  const after = { ...was, refused: 'insufficient_funds', required: '5100', currency: 'USD' }
  assert.deepEqual(acts, [{ act: 'redrive', letter, before: was, after }])

  assert.equal((await ask('k2')).status, 202)
  assert.deepEqual([(await ask('k')).status, (await ask('k2')).status], [402, 202])
  // The service's clock is years behind the one by which the letter was written.
  assert.deepEqual(violated(await verifyWorld(world)), ['letter_closing', 'repeat_wrong'])
})

test('a letter whose redrive was refused under a key is shown as closed when it is', async (t) => {
  const world = await testWorld(t)
  const [id = 0n] = await declined(world, 'withdraw')
  await world.sql('update users set available = 0')
  const letter = await openLetter(world, id)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const key = { 'idempotency-key': 'k' }
  assert.equal((await call('POST', `/dlq/${letter}/redrive`, { reason }, key)).status, 402)
  await world.sql(
    `update dead_letters set state = 'resolved', closed_at = now(), closed_by = 'gateway'`,
  )
  const events = (await call('GET', `/payments/${id}/timeline`)).body['events'] as {
    event: string
  }[]
  const names = events.map(({ event }) => event)
  assert.ok(names.includes('redrive') && names.includes('dead_letter_closed'), names.join(' '))
})

test('a repeated start has the first answer, however far the redrive has come', async (t) => {
  const { world, ask, call } = await shop(t, ACTS['start'] as (world: TestWorld) => Promise<Act>)
  const first = await ask()
  assert.equal(first.status, 202, first.text)
  assert.equal(await step(world.world, null), 2)
  assert.equal((await ask()).text, first.text)
  await cancelRun(world.world, BigInt(Number(first.body['id'])), 'jane')
  assert.equal((await ask()).text, first.text)
  const shown = await call('GET', `/dlq/redrives/${String(first.body['id'])}`)
  assert.deepEqual([shown.body['state'], shown.body['done']], ['canceled', 2])
  assert.equal((await ask({}, 'k2')).body['code'], 'redrive_started')
  assert.equal((await ask({}, null)).body['code'], 'redrive_started')
  const other = await ask({ ...(await snapshotOf(world)), rate_per_second: 3 })
  assert.deepEqual(other.body['errors'], [
    { pointer: '/rate_per_second', code: 'differs' },
    { pointer: '/snapshot', code: 'differs' },
  ])
})

test('one key starts one of two snapshots, whichever comes first, and a dry run keeps none', async (t) => {
  const { world, call } = await shop(t, ACTS['start'] as (world: TestWorld) => Promise<Act>)
  const key = { 'idempotency-key': 'k' }
  const dry = () => call('POST', '/dlq/redrive', { filter: {}, dry_run: true }, key)
  const shots = [await dry(), await dry()].map(({ body }) => Number(body['snapshot']))
  const start = (snapshot: number) =>
    call('POST', '/dlq/redrive', { snapshot, reason: 'back' }, key)
  const answers = await Promise.all(shots.flatMap((shot) => [start(shot), start(shot)]))
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [202, 202, 422, 422])
  const [row] = await world.sql<{ count: bigint }>(
    "select count(*) from redrives where state <> 'planned'",
  )
  assert.equal(row?.count, 1n)
})

test('a repeated start of nothing has the first answer', async (t) => {
  const world = await testWorld(t)
  const { call } = await serve(t, {}, { database: world.url, roles: ROLES })
  const body = { ...(await snapshotOf(world)), reason }
  const [first, again] = [
    await call('POST', '/dlq/redrive', body, { 'idempotency-key': 'k' }),
    await call('POST', '/dlq/redrive', body, { 'idempotency-key': 'k' }),
  ]
  assert.deepEqual([first?.status, first?.body['state']], [202, 'done'])
  assert.equal(again?.text, first?.text)
})
