import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Answer, PaymentDraft } from '../src/domain/acceptance.ts'
import { seededRandom } from '../src/domain/random.ts'
import { charge, claim } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { CommitUnknown, Unavailable, type Db } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { books, openDb, testWorld, type TestWorld, acceptAll, raw } from './harness.ts'

const FEE = { bps: 200, min: 0n }

const withdraw = (
  userId: bigint,
  amount: bigint,
  idempotencyKey: string | null = null,
): PaymentDraft => ({
  type: 'withdraw',
  userId,
  amount,
  idempotencyKey,
})

/** Acceptors with a pool each, as several processes would have. */
function acceptors(world: TestWorld, count: number) {
  return Array.from({ length: count }, () => acceptAll(world.connect(), FEE))
}

/** Send every draft in a call of its own, all at once, over all acceptors in turn. */
async function race(
  accepts: ReturnType<typeof acceptors>,
  drafts: readonly PaymentDraft[],
  size = 1,
): Promise<readonly Answer[]> {
  const calls: Promise<readonly Answer[]>[] = []
  for (let start = 0; start < drafts.length; start += size) {
    const accept = accepts[(start / size) % accepts.length]
    assert.ok(accept, 'accept')
    calls.push(accept(drafts.slice(start, start + size)))
  }
  return (await Promise.all(calls)).flat()
}

async function balanced(world: TestWorld): Promise<Record<string, bigint>> {
  const sums = await books(world)
  const { user = 0n, held = 0n, gateway = 0n, fees = 0n, opening = 0n } = sums
  assert.equal(user + held + gateway + fees + opening, 0n)
  assert.equal(user, sums['available_stored'])
  assert.equal(held, sums['held_stored'])
  return sums
}

const acceptedOf = (answers: readonly Answer[]) => answers.filter(({ kind }) => kind === 'accepted')

test('two hundred requests with one key at once are one payment with one answer', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(1_000_000n)
  const drafts = Array.from({ length: 200 }, () => withdraw(user, 10_000n, 'key'))
  const answers = await race(acceptors(world, 2), drafts)

  const payments = answers.map((answer) => answer.kind === 'accepted' && answer.payment)
  for (const payment of payments) assert.deepEqual(payment, payments[0])
  assert.equal(answers.filter(({ replayed }) => !replayed).length, 1)
  const rows = await world.sql<{ payments: bigint; tasks: bigint }>(
    'select (select count(*) from payments) as payments, (select count(*) from payment_tasks) as tasks',
  )
  assert.deepEqual(rows, [{ payments: 1n, tasks: 1n }])
  const { held } = await balanced(world)
  assert.equal(held, 10_200n)
})

test('of thirty withdrawals at once that the balance covers once, one is accepted', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const drafts = Array.from({ length: 30 }, () => withdraw(user, 90_000n))
  const answers = await race(acceptors(world, 3), drafts)
  assert.equal(acceptedOf(answers).length, 1)
  const { user: left, held } = await balanced(world)
  assert.deepEqual([left, held], [8_200n, 91_800n])
})

test('of a thousand withdrawals at once with funds for half, exactly half are accepted', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(500n * 102n)
  const drafts = Array.from({ length: 1_000 }, (_, index) => withdraw(user, 100n, `${index}`))
  const answers = await race(acceptors(world, 3), drafts, 5)
  assert.equal(acceptedOf(answers).length, 500)
  const { user: left, held } = await balanced(world)
  assert.deepEqual([left, held], [0n, 500n * 102n])

  const again = await race(acceptors(world, 2), drafts, 50)
  const shown = (all: readonly Answer[]) => all.map((answer) => ({ ...answer, replayed: true }))
  assert.deepEqual(shown(again), shown(answers))
  assert.ok(
    again.every(({ replayed }) => replayed),
    'again.every(({ replayed }) => replayed)',
  )
})

test('one key in many batches of many processes in any order is one payment', async (t) => {
  const world = await testWorld(t)
  const users = [await world.user(0n), await world.user(0n), await world.user(0n)]
  const random = seededRandom(7)
  const drafts = Array.from({ length: 600 }, (): PaymentDraft => {
    const userId = users[Math.floor(random() * 3)] ?? 0n
    const key = `key ${Math.floor(random() * 20)}`
    return { type: 'deposit', userId, amount: 100n, idempotencyKey: key }
  })
  const answers = await race(acceptors(world, 3), drafts, 7)
  const ids = new Map<string, Set<bigint>>()
  answers.forEach((answer, index) => {
    assert.ok(answer.kind === 'accepted', 'answer.kind === accepted')
    const { userId, idempotencyKey } = drafts[index] as PaymentDraft
    const key = `${userId} ${idempotencyKey}`
    ids.set(key, (ids.get(key) ?? new Set()).add(answer.payment.id))
  })
  assert.ok(
    [...ids.values()].every(({ size }) => size === 1),
    '[...ids.values()].every(({ size }) => size === 1)',
  )
  const [row] = await world.sql<{ count: bigint }>('select count(*) from payments')
  assert.equal(row?.count, BigInt(ids.size))
})

/**
 * Count how often a transaction had to be run again: after a deadlock or a failed serialization.
 */
function countReruns(db: Db): Db & { reruns(): number } {
  let reruns = 0
  const counting = withShards(db, (shard) => ({
    ...shard,
    transaction(work) {
      let runs = 0
      return shard.transaction((tx) => {
        reruns += runs
        runs = 1
        return work(tx)
      })
    },
  }))
  return { ...counting, reruns: () => reruns }
}

test('accepting and settling for the same users at once never deadlocks, and the books balance', async (t) => {
  const world = await testWorld(t)
  const users: bigint[] = []
  for (let index = 0; index < 10; index += 1) users.push(await world.user(1_000_000n))
  const random = seededRandom(42)
  world.gateway.script = Array.from({ length: 10_000 }, () =>
    random() < 0.7 ? 'success' : 'declined',
  )
  const dbs = Array.from({ length: 6 }, () => countReruns(world.connect(4)))
  const accepting = dbs.slice(0, 3).map(async (db) => {
    const accept = acceptAll(db, FEE)
    for (let batch = 0; batch < 30; batch += 1) {
      const drafts = Array.from({ length: 20 }, (): PaymentDraft => {
        const userId = users[Math.floor(random() * users.length)] ?? 0n
        const type = random() < 0.5 ? 'deposit' : 'withdraw'
        const key = random() < 0.5 ? null : `key ${Math.floor(random() * 500)}`
        return {
          type,
          userId,
          amount: BigInt(1 + Math.floor(random() * 5_000)),
          idempotencyKey: key,
        }
      })
      await accept(drafts)
    }
  })
  let open = true
  const working = dbs.slice(3).map(async (db) => {
    const own = { ...world.world, db }
    while (open) {
      const claims = await claim(own, 15)
      await settle(own, await Promise.all(claims.map((claimed) => charge(own, claimed))))
    }
  })
  await Promise.all(accepting)
  open = false
  await Promise.all(working)
  while ((await world.work()).length > 0);

  assert.deepEqual(
    dbs.map((db) => db.reruns()),
    [0, 0, 0, 0, 0, 0],
  )
  await world.sql('select pg_stat_force_next_flush()').catch(() => undefined)
  const [stat] = await world.sql<{ deadlocks: bigint }>(
    'select deadlocks from pg_stat_database where datname = current_database()',
  )
  assert.equal(stat?.deadlocks, 0n)
  const { held } = await balanced(world)
  assert.equal(held, 0n)
  const [row] = await world.sql<{ open: bigint }>(
    "select count(*) as open from payments where status not in ('success', 'failed')",
  )
  assert.equal(row?.open, 0n)
})

/** Where a proxy loses the connection: before the client's BEGIN, or before the reply to COMMIT. */
type Cut = 'begin' | 'commit_reply'

/**
 * A TCP proxy before the database that loses the connection once, after `cut` was set. Of
 * `commit_reply` it waits until the database has said that it committed, and keeps that to itself.
 */
async function losingProxy(t: TestContext, target: string) {
  const state: { cut: Cut | null; cuts: number } = { cut: null, cuts: 0 }
  const { hostname, port } = new URL(target)
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    let committing = false
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    const lose = () => {
      state.cut = null
      state.cuts += 1
      end()
    }
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end)
    client.on('data', (data) => {
      if (state.cut === 'begin' && data.includes('begin\0')) return lose()
      if (state.cut === 'commit_reply' && data.includes('commit\0')) committing = true
      upstream.write(data)
    })
    upstream.on('data', (data) => {
      if (!committing) client.write(data)
      else if (data.includes('COMMIT\0')) lose()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return { url: url.href, state }
}

test('a lost reply to COMMIT is reported as unknown, and the retry finds the payment', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const { url, state } = await losingProxy(t, world.url)
  const accept = acceptAll(world.connect(1, url), FEE)
  for (let round = 0; round < 10; round += 1) {
    const draft = withdraw(user, 100n, `key ${round}`)
    state.cut = 'commit_reply'
    await assert.rejects(accept([draft]), CommitUnknown)
    const [again] = await accept([draft])
    assert.equal(again?.kind, 'accepted')
    assert.equal(again.replayed, true)
  }
  assert.equal(state.cuts, 10)
  const { held } = await balanced(world)
  assert.equal(held, 1_020n)
})

test('a connection lost before COMMIT is reported as unavailable, and nothing was written', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const { url, state } = await losingProxy(t, world.url)
  const accept = acceptAll(world.connect(1, url), FEE)
  state.cut = 'begin'
  await assert.rejects(accept([withdraw(user, 100n, 'key')]), Unavailable)
  const rows = await world.sql('select id from payments')
  assert.deepEqual(rows, [])
  const [again] = await accept([withdraw(user, 100n, 'key')])
  assert.deepEqual([again?.kind, again?.replayed], ['accepted', false])
})

test('a settlement whose COMMIT was lost is repeated without effect', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  await world.accept([withdraw(user, 100n), withdraw(user, 100n)])
  const settlements = await world.claimAndCharge()
  const { url, state } = await losingProxy(t, world.url)
  const own = { ...world.world, db: world.connect(1, url) }
  state.cut = 'commit_reply'
  await assert.rejects(settle(own, settlements), CommitUnknown)
  assert.deepEqual(await settle(own, settlements), {
    settlements: [],
    stale: 2,
    busy: [],
    failed: [],
  })
  const { held, gateway, fees } = await balanced(world)
  assert.deepEqual([held, gateway, fees], [0n, 200n, 4n])
})

test('a database that refuses connections is reported as unavailable', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const db = openDb(t, `postgres://nobody@127.0.0.1:${port}/none`).of(0n)
  await assert.rejects(db.run(raw('select 1'), []), Unavailable)
  await assert.rejects(
    db.transaction(() => Promise.resolve()),
    Unavailable,
  )
})

test('an error in the middle of a transaction leaves nothing written and its connection usable', async (t) => {
  const world = await testWorld(t)
  const user = await world.user(100_000n)
  const db = world.connect(1).of(0n)
  const move = raw('update users set available = 1 where id = $1', 'test_move')
  const broken = raw('select 1 / $1::int as one', 'test_broken')
  await assert.rejects(
    db.transaction((tx) => (tx.write(move, [user]), tx.run(broken, [0]))),
    /division by zero/,
  )
  await assert.rejects(
    db.transaction(async (tx) => (tx.write(move, [user]), tx.write(broken, [0]))),
    /division by zero/,
  )
  await assert.rejects(
    db.transaction((tx) => (tx.write(move, [user]), Promise.reject(new Error('ours')))),
    /ours/,
  )
  assert.deepEqual(await db.run(broken, [1]), [{ one: 1 }])
  const { user: available } = await balanced(world)
  assert.equal(available, 100_000n)
})
