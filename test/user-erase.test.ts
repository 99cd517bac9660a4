import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { eraseUser } from '../src/operators/erase-user.ts'
import { redrive } from '../src/dead-letters/redrive.ts'
import { sentFields } from '../src/domain/sent-fields.ts'
import { CommitUnknown } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { openUsers } from '../src/users/open.ts'
import { books, testWorld } from './harness.ts'
import { JANE, openLetter, someoneWaits } from './operators.ts'
import { serve } from './serve.ts'
import { settleDelivered } from '../src/webhooks/deliver.ts'
import { delivering, receiver, states, succeed, type Answer } from './webhooks-kit.ts'

const ROLES = { api: true, worker: false, mockGateway: false }
const BY = { actor: 'jane', reason: 'asked for', requestId: 'r1' }

/** Everything that a caller may say; each text can be told from all others. */
const SAID = {
  reference: 'CANARY-reference',
  description: 'CANARY-description',
  metadata: { name: 'CANARY-value' },
  payment_method: 'CANARY-method',
  return_url: 'https://example.com/CANARY-url',
}

async function shop(t: TestContext, shards = 1) {
  const world = await testWorld(t, { shards })
  const env = { SHARDS: String(shards) }
  const { call } = await serve(t, env, { database: world.url, roles: ROLES })
  const user = await call(
    'POST',
    '/users',
    { balance: 1_000, external_id: 'CANARY-id', metadata: { mail: 'CANARY-mail' } },
    { 'idempotency-key': 'k' },
  )
  assert.equal(user.status, 201)
  const userId = Number(user.body['id'])
  const deposit = async (more: object = SAID, headers = {}) => {
    const body = { user_id: userId, deposit: 10, ...more }
    return call('POST', '/payments/deposit', body, headers)
  }
  const erase = (id: unknown = userId, headers = {}) =>
    call('POST', `/users/${String(id)}/erase`, { reason: BY.reason }, headers)
  return { world, call, userId, deposit, erase }
}

/** Everything that the database holds, as text. */
async function everything(world: Awaited<ReturnType<typeof testWorld>>): Promise<string> {
  const tables = await world.sql<{ name: string }>(
    // A loop of the service notes minutes and counters whenever it comes to it.
    `select tablename as name
     from pg_tables
     where schemaname = 'public' and tablename not in ('payment_minutes', 'counters')
     order by 1`,
  )
  const texts = await Promise.all(
    tables.map(({ name }) =>
      world.sql<{ text: string }>(`select t::text as text from ${name} t order by 1`),
    ),
  )
  return texts
    .flat()
    .map(({ text }) => text)
    .join('\n')
}

for (const shards of [1, 4]) {
  test(`after an erasure no text of the user is anywhere, of ${shards} shards; the books are as before`, async (t) => {
    const { world, call, userId, deposit, erase } = await shop(t, shards)
    const wish = await call('POST', '/webhook-endpoints', { types: ['payment.*'] })
    assert.equal(wish.status, 201)
    await deposit(SAID, { 'idempotency-key': 'p' })
    world.gateway.script = ['success']
    await world.work()
    const { body: first } = await call('GET', `/payments?user_id=${userId}`)
    const [{ payment_id: paid } = { payment_id: 0 }] = first['data'] as { payment_id: number }[]
    const refund = { amount: 5, reason: 'CANARY-reason' }
    const refunded = await call('POST', `/payments/${paid}/refunds`, refund)
    assert.equal(refunded.status, 202)
    await world.work()
    const hashes = await world.sql<{ sent: object }>('select sent from payment_details')
    assert.ok(hashes.length > 0)
    assert.match(await everything(world), /CANARY/)
    const told = await world.sql<{ body: string }>('select body from events')
    assert.match(told.map(({ body }) => body).join(), /CANARY-(reason|d|m|r)/)
    const before = await books(world)

    const answer = await erase(userId, { 'x-actor': 'jane' })
    assert.deepEqual(
      [answer.status, answer.body],
      [200, { id: userId, external_id: true, metadata: true, payments: 2 }],
    )
    assert.doesNotMatch(await everything(world), /CANARY/)
    const left = await world.sql<{ names: string[] }>(
      `select array(select jsonb_object_keys(sent)) as names from payment_details
       union all select array(select jsonb_object_keys(sent)) from user_keys`,
    )
    const names = left.flatMap((row) => row.names).toSorted()
    assert.deepEqual(names, ['amount', 'balance'], 'no hash of a text is left')
    assert.deepEqual(await books(world), before)
    const acts = await world.sql<Record<string, unknown>>(
      `select act, actor, reason, user_id, payment_id, before, after from operator_acts`,
    )
    assert.deepEqual(acts, [
      {
        act: 'erase',
        actor: 'jane',
        reason: BY.reason,
        user_id: BigInt(userId),
        payment_id: null,
        before: { external_id: 'set', metadata: 'set', payments: '2' },
        after: { external_id: null, metadata: null, payments: '0' },
      },
    ])
    const shown = await call('GET', `/users/${userId}`)
    assert.deepEqual([shown.body['external_id'], shown.body['metadata']], [null, null])
    assert.equal((await call('GET', '/users?external_id=CANARY-id')).text.includes('CANARY'), false)
  })
}

test('what an endpoint answered to events of the payments is erased too, of nobody else', async (t) => {
  const { world, turn, endpoint } = await delivering(t, 2)
  const echo: Answer = (response, { body }) => void response.writeHead(500).end(body)
  const to = await receiver(t, echo)
  await endpoint(to.url)
  await succeed(world, 2)
  assert.equal(await turn(), 2)
  const replies = () =>
    world.sql<{ user: bigint; reply: string | null; status: number }>(
      `select payments.user_id as user, reply, delivery_attempts.status
       from delivery_attempts
       join events on events.shard = delivery_attempts.shard and events.id = event_id
       join payments on payments.shard = events.shard and payments.id = events.payment_id
       order by 1`,
    )
  const [first, other] = await replies()
  assert.ok(first?.reply != null && other?.reply != null)
  assert.match(first.reply, /payment\.succeeded/)
  const erased = await eraseUser(world.db, first.user, BY)
  assert.equal(erased.kind, 'erased')
  assert.deepEqual(await replies(), [{ ...first, reply: null }, other])
})

test('a call that is under way during an erasure leaves nothing of what it was answered, and is made again', async (t) => {
  const { world, own, claimAndSend, turn, endpoint } = await delivering(t, 2)
  const echo: Answer = (response, { body }) => void response.writeHead(200).end(body)
  const to = await receiver(t, echo)
  await endpoint(to.url)
  await succeed(world)
  const [payment] = await world.sql<{ user: bigint }>('select user_id as user from payments')
  assert.ok(payment !== undefined)
  await world.sql(`update payment_details set description = 'CANARY'`)
  await world.sql(
    `update events set body = replace(body, '"data":{', '"data":{"description":"CANARY",')`,
  )
  const underWay = await claimAndSend()
  assert.equal(underWay.length, 1)
  assert.match(underWay[0]?.result.reply ?? '', /CANARY/)
  assert.equal((await eraseUser(world.db, payment.user, BY)).kind, 'erased')
  assert.deepEqual(await settleDelivered(own, underWay), [])
  const calls = () =>
    world.sql<{ fence: number; status: number; reply: string | null }>(
      'select fence, status, reply from delivery_attempts order by fence',
    )
  assert.deepEqual(await calls(), [{ fence: 1, status: 200, reply: null }])
  assert.equal(await turn(), 0, 'not before claims that have read what was erased are over')
  world.clock.advance(10_000)
  assert.equal(await turn(), 1)
  assert.equal(to.received.length, 2)
  const [, again] = await calls()
  assert.ok(again?.reply != null && !again.reply.includes('CANARY'))
  const [state] = await states(world)
  assert.deepEqual(state, { state: 'delivered', attempts: 2 })
})

test('an erasure breaks no idempotency: a retry of what was said makes nothing twice', async (t) => {
  const { world, call, userId, deposit, erase } = await shop(t)
  const said = await deposit(SAID, { 'idempotency-key': 'p' })
  const plain = await deposit({}, { 'idempotency-key': 'q' })
  world.gateway.script = ['success']
  await world.work()
  assert.equal((await erase()).status, 200)
  const again = await deposit(SAID, { 'idempotency-key': 'p' })
  assert.deepEqual([again.status, again.body['code']], [422, 'idempotency_key_reuse'])
  assert.equal(again.body['payment_id'], said.body['payment_id'])
  assert.equal((await deposit({}, { 'idempotency-key': 'q' })).text, plain.text)
  const user = { balance: 1_000, external_id: 'CANARY-id', metadata: { mail: 'CANARY-mail' } }
  const opened = await call('POST', '/users', user, { 'idempotency-key': 'k' })
  assert.deepEqual([opened.status, opened.body['user_id']], [422, userId])
  const [row] = await world.sql<{ users: bigint; payments: bigint }>(
    'select (select count(*) from users) as users, (select count(*) from payments) as payments',
  )
  assert.deepEqual(row, { users: 1n, payments: 2n })
})

test('no text of a user comes back with a repeated opening that an erasure came in between of', async (t) => {
  const world = await testWorld(t, { shards: 4 })
  const texts = { externalId: 'CANARY-id', metadata: { mail: 'CANARY-mail' } }
  const said = { external_id: texts.externalId, metadata: texts.metadata }
  for (const key of ['a', 'b', 'c', 'd', 'e']) {
    const asked = { balance: 1_000n, key: { apiKey: '', key }, texts, sent: sentFields(said) }
    const [first] = await openUsers(world.db, [asked])
    assert.ok(first?.kind === 'opened', key)
    let erased = false
    // The key is known to be that of the user, and what is said about it not read yet.
    const slow = withShards(world.db, (shard) => ({
      ...shard,
      transaction: (work, lockMs) =>
        shard.transaction(
          (tx) =>
            work({
              ...tx,
              async run(statement, values) {
                const rows = await tx.run(statement, values)
                if (statement.name !== 'user_keys_read' || erased) return rows
                erased = true
                assert.equal((await eraseUser(world.db, first.userId, BY)).kind, 'erased')
                return rows
              },
            }),
          lockMs,
        ),
    }))
    const [again] = await openUsers(slow, [asked])
    assert.deepEqual(again, { ...first, replayed: true })
    assert.ok(erased)
    assert.doesNotMatch(await everything(world), /CANARY/, key)
  }
})

test('what was erased is free again: the external id and the references', async (t) => {
  const { world, call, deposit, erase } = await shop(t)
  await deposit()
  world.gateway.script = ['success']
  await world.work()
  await erase()
  const user = await call('POST', '/users', { balance: 1, external_id: 'CANARY-id' })
  assert.equal(user.status, 201)
  assert.equal((await deposit()).status, 202)
})

test('nothing is erased while a payment is not final, nor of a user who is not there', async (t) => {
  const { world, call, userId, deposit, erase } = await shop(t)
  await deposit()
  world.gateway.script = ['success']
  await world.work()
  world.gateway.script = ['in_doubt']
  await deposit({ ...SAID, reference: 'CANARY-2' })
  const before = await everything(world)
  const early = await erase()
  assert.deepEqual([early.status, early.body['code']], [409, 'payments_open'])
  assert.equal(await everything(world), before)
  for (const id of [99, 'x', 0]) {
    const none = await erase(id)
    assert.deepEqual([none.status, none.body['code']], [404, 'user_not_found'], String(id))
  }
  const noReason = await call('POST', `/users/${userId}/erase`, {})
  assert.equal(noReason.body['code'], 'body_invalid')
  const named = await erase(userId, { 'x-actor': 'gateway' })
  assert.equal(named.body['code'], 'actor_invalid')
})

for (const [what, next] of [
  ['larger', 2_000],
  // One of a reserve.
  ['smaller', 10],
] as const) {
  test(`a payment with a ${what} id that begins to repeat an older one stops the erasure`, async (t) => {
    const { world, userId, deposit } = await shop(t)
    await world.sql('alter sequence payment_ids restart 1000')
    world.gateway.script = ['declined']
    const { body } = await deposit()
    await world.work()
    const letterId = await openLetter(world, BigInt(Number(body['payment_id'])))
    await world.sql(`alter sequence payment_ids restart ${next}`)
    let turn = 0
    const racing = withShards(world.db, (shard) => ({
      ...shard,
      async transaction(work, lockMs) {
        turn += 1
        // Behind the look at all payments, in front of the first page.
        if (turn === 1) await redrive(world.world, JANE, [{ letterId, delayMs: 0 }])
        return shard.transaction(work, lockMs)
      },
    }))
    const answer = await eraseUser(racing, BigInt(userId), BY)
    assert.deepEqual(answer, { kind: 'refused', refusal: { code: 'payments_open' } })
    assert.match(await everything(world), /CANARY-method/, 'it is sent as it was first')
  })
}

test('a payment that is accepted while an erasure waits for its user stops it, and no text is gone', async (t) => {
  const { world, userId, deposit, erase } = await shop(t)
  await deposit()
  await world.work()
  const client = new pg.Client({ connectionString: world.url })
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end())
  await client.query('begin')
  await client.query('select from users where id = $1 for update', [userId])
  const erasing = erase()
  await someoneWaits(world)
  await client.query(
    `insert into payments
       (shard, id, user_id, type, status, amount, commission, fee_bps, created_at)
     select shard, 1000000, user_id, type, 'new', amount, commission, fee_bps, created_at
     from payments where user_id = $1`,
    [userId],
  )
  await client.query('commit')
  const { status, body } = await erasing
  assert.deepEqual([status, body['code']], [409, 'payments_open'])
  const [row] = await world.sql<{ text: string }>(
    'select payment_details::text as text from payment_details',
  )
  assert.match(row?.text ?? '', /CANARY-description/)
})

test('an erasure that is cut short is finished by the next one', async (t) => {
  const { world, userId, deposit, erase } = await shop(t)
  await deposit()
  world.gateway.script = ['success']
  await world.work()
  let turn = 0
  const dying = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      const done = await shard.transaction(work, lockMs)
      turn += 1
      if (turn === 1) throw new CommitUnknown('the reply was lost')
      return done
    },
  }))
  await assert.rejects(eraseUser(dying, BigInt(userId), BY), CommitUnknown)
  assert.match(await everything(world), /CANARY/)
  const again = await erase()
  assert.deepEqual(
    [again.status, again.body],
    [200, { id: userId, external_id: true, metadata: true, payments: 0 }],
  )
  assert.doesNotMatch(await everything(world), /CANARY/)
})

test('a user with more payments than a page is erased as a whole', async (t) => {
  const { world, userId, erase } = await shop(t)
  await world.sql(`
    insert into payments
      (shard, id, user_id, type, status, amount, commission, fee_bps, created_at, finished_at)
    select 0, n, ${userId}, 'deposit', 'success', 100, 2, 200, now(), now()
    from generate_series(1, 2500) n`)
  await world.sql(`
    insert into payment_details (shard, payment_id, description, sent)
    select 0, n, 'CANARY', '{}' from generate_series(1, 2500) n`)
  assert.equal((await erase()).body['payments'], 2_500)
  assert.doesNotMatch(await everything(world), /CANARY/)
})
