import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { UserDraft } from '../src/domain/opening.ts'
import { sentFields } from '../src/domain/sent-fields.ts'
import { shardOfText } from '../src/domain/shard.ts'
import { CommitUnknown, Unavailable, type Db } from '../src/ports.ts'
import { withShards } from '../src/each-shard.ts'
import { takeIdsIn } from '../src/users/ids.ts'
import { openUsers, type OpenAnswer } from '../src/users/open.ts'
import { pageOfUsers, viewUsers } from '../src/users/read.ts'
import type { UserFilter } from '../src/users/view-store.ts'
import { openedId, testWorld, type TestWorld } from './harness.ts'

const SHARDS = 4

interface Asked {
  readonly key?: string
  readonly externalId?: string
  readonly balance?: bigint
  readonly apiKey?: string
}

/** A draft as the API would make it. */
function asked({ key, externalId, balance = 1_000n, apiKey = '' }: Asked): UserDraft {
  const texts = externalId === undefined ? null : { externalId, metadata: { a: '1' } }
  const said = { external_id: externalId ?? null, metadata: texts?.metadata ?? null }
  return {
    balance,
    key: key === undefined ? null : { apiKey, key },
    texts,
    sent: sentFields({ balance: `${balance}`, ...said }),
  }
}

async function open(db: Db, ask: Asked): Promise<OpenAnswer> {
  const [answer] = await openUsers(db, [asked(ask)])
  assert.ok(answer !== undefined)
  return answer
}

/** An external id that falls to another shard than this key, or to the same one. */
function externalIdFor(key: string, where: 'same' | 'other', start = 'e'): string {
  const shard = shardOfText(` ${key}`, SHARDS)
  for (let index = 0; ; index += 1) {
    const text = `${start}${index}`
    if ((shardOfText(text, SHARDS) === shard) === (where === 'same')) return text
  }
}

async function usersOf(world: TestWorld): Promise<bigint> {
  const [row] = await world.sql<{ count: bigint }>('select count(*) from users')
  return row?.count ?? 0n
}

function codeOf(answer: OpenAnswer): string | null {
  return answer.kind === 'refused' ? answer.refusal.code : null
}

for (const shards of [1, SHARDS]) {
  test(`fifty requests at once with one key open one user, of ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const dbs = [world.db, world.connect(), world.connect()]
    const ask = { key: 'k', externalId: 'shop-1' }
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => open(dbs[index % 3] ?? world.db, ask)),
    )
    const ids = new Set(answers.map(openedId))
    assert.equal(ids.size, 1)
    assert.equal(await usersOf(world), 1n)
    const first = answers.filter((answer) => answer.kind === 'opened' && !answer.replayed)
    assert.equal(first.length, 1, 'one of them is the first')
    const [postings] = await world.sql<{ sum: bigint; count: bigint }>(
      'select sum(user_available)::bigint as sum, count(*) from postings',
    )
    assert.deepEqual(postings, { sum: 1_000n, count: 1n })
  })

  test(`fifty requests at once with one external id open one user, of ${shards} shards`, async (t) => {
    const world = await testWorld(t, { shards })
    const dbs = [world.db, world.connect(), world.connect()]
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => {
        const key = index % 2 === 0 ? {} : { key: `k${index}` }
        return open(dbs[index % 3] ?? world.db, { externalId: 'shop-1', ...key })
      }),
    )
    const opened = answers.filter(({ kind }) => kind === 'opened')
    assert.equal(opened.length, 1)
    assert.equal(await usersOf(world), 1n)
    for (const answer of answers) {
      if (answer === opened[0]) continue
      assert.equal(codeOf(answer), 'external_id_taken')
      assert.equal(
        answer.kind === 'refused' && answer.refusal.userId,
        openedId(opened[0] ?? answer),
      )
    }
  })
}

test('a batch opens one user for requests with one key or external id, in order', async (t) => {
  const { db } = await testWorld(t, { shards: SHARDS })
  const answers = await openUsers(db, [
    asked({ key: 'k' }),
    asked({ key: 'k' }),
    asked({ key: 'k', balance: 2n }),
    asked({ externalId: 'a' }),
    asked({ externalId: 'a' }),
    asked({ key: 'k', apiKey: 'abcdefghijkl' }),
    asked({}),
    asked({}),
  ])
  assert.deepEqual(
    answers.map((answer) =>
      answer.kind === 'opened' ? [answer.kind, answer.replayed] : [answer.kind, codeOf(answer)],
    ),
    [
      ['opened', false],
      ['opened', true],
      ['refused', 'idempotency_key_reuse'],
      ['opened', false],
      ['refused', 'external_id_taken'],
      ['opened', false],
      ['opened', false],
      ['opened', false],
    ],
  )
  const ids = answers.flatMap((answer) => (answer.kind === 'opened' ? [answer.userId] : []))
  assert.equal(new Set(ids).size, 5, 'the second has the user of the first')
  assert.equal(ids[0], ids[1])
})

for (const where of ['same', 'other'] as const) {
  const title = `key and external id in ${where === 'same' ? 'one shard' : 'two shards'}`

  test(`${title}: a request whose reply was lost opens one user, wherever it broke off`, async (t) => {
    const world = await testWorld(t, { shards: SHARDS })
    // Each transaction of the request loses its reply in turn, or never begins.
    for (const fate of ['reply', 'begin'] as const) {
      for (let lost = 1; lost <= 2; lost += 1) {
        const key = `${fate} ${lost}`
        const ask = { key, externalId: externalIdFor(key, where, `${fate}-${lost}-`) }
        let turn = 0
        const ill = withShards(world.db, (shard) => ({
          ...shard,
          async transaction(work, lockMs) {
            turn += 1
            if (turn === lost && fate === 'begin') throw new Unavailable('away')
            const done = await shard.transaction(work, lockMs)
            if (turn === lost) throw new CommitUnknown('the reply was lost')
            return done
          },
        }))
        const before = await usersOf(world)
        const first = await open(ill, ask)
        if (first.kind === 'opened') assert.ok(where === 'same' && lost === 2)
        else assert.equal(first.kind, 'failed')
        const again = await open(world.db, ask)
        assert.equal(again.kind, 'opened')
        assert.deepEqual(await open(world.db, ask), { ...again, replayed: true })
        assert.equal(await usersOf(world), before + 1n, key)
      }
    }
  })

  test(`${title}: the same key with other fields is refused and names them`, async (t) => {
    const world = await testWorld(t, { shards: SHARDS })
    const externalId = externalIdFor('k', where)
    const first = await open(world.db, { key: 'k', externalId })
    const others: readonly (readonly [Asked, readonly string[]])[] = [
      [{ key: 'k', externalId, balance: 7n }, ['balance']],
      [{ key: 'k', externalId: externalIdFor('k', 'other', 'x') }, ['external_id']],
      [{ key: 'k', externalId: externalIdFor('k', 'same', 'x') }, ['external_id']],
      [{ key: 'k' }, ['external_id', 'metadata']],
    ]
    for (const [ask, fields] of others) {
      const answer = await open(world.db, ask)
      assert.ok(answer.kind === 'refused')
      const { code, errors, userId } = answer.refusal
      assert.equal(code, 'idempotency_key_reuse')
      assert.deepEqual(
        errors?.map((error) => error.field),
        fields,
      )
      assert.equal(userId, openedId(first))
    }
    assert.equal(await usersOf(world), 1n)
  })

  test(`${title}: a refusal keeps no key, so the request may be corrected under it`, async (t) => {
    const world = await testWorld(t, { shards: SHARDS })
    const externalId = externalIdFor('k', where)
    await open(world.db, { externalId })
    for (let time = 0; time < 2; time += 1) {
      assert.equal(codeOf(await open(world.db, { key: 'k', externalId })), 'external_id_taken')
    }
    const corrected = await open(world.db, { key: 'k', externalId: 'another' })
    assert.equal(corrected.kind, 'opened')
    assert.equal(await usersOf(world), 2n)
  })
}

test('whoever reserved a key finds the user that a repeated request opened meanwhile', async (t) => {
  const world = await testWorld(t, { shards: SHARDS })
  const ask = { key: 'k', externalId: externalIdFor('k', 'other') }
  let turn = 0
  let repeated: OpenAnswer | null = null
  const slow = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      turn += 1
      // The key is reserved, and the user is not opened yet.
      if (turn === 2) repeated = await open(world.db, ask)
      return shard.transaction(work, lockMs)
    },
  }))
  const first = await open(slow, ask)
  assert.equal(openedId(first), 4n)
  assert.deepEqual(repeated, { ...first, replayed: false })
  assert.deepEqual(first, { ...first, replayed: true })
  assert.equal(await usersOf(world), 1n)
})

test('a key that was reserved for a refused request is given up by its retry', async (t) => {
  const world = await testWorld(t, { shards: SHARDS })
  const externalId = externalIdFor('k', 'other')
  await open(world.db, { externalId })
  let turn = 0
  const dying = withShards(world.db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      turn += 1
      if (turn > 1) throw new Unavailable('away')
      return shard.transaction(work, lockMs)
    },
  }))
  assert.equal((await open(dying, { key: 'k', externalId })).kind, 'failed')
  assert.equal(codeOf(await open(world.db, { key: 'k', externalId })), 'external_id_taken')
  assert.equal((await open(world.db, { key: 'k', externalId: 'new' })).kind, 'opened')
})

/** The database with one shard that cannot be asked. */
function withIll(db: Db, ill: number): Db {
  const away = () => Promise.reject(new Unavailable('this shard is away'))
  return withShards(db, (shard) =>
    shard.number === ill ? { ...shard, run: away, transaction: away } : shard,
  )
}

async function eightUsers(t: TestContext) {
  const world = await testWorld(t, { shards: SHARDS })
  const ids: bigint[] = []
  for (let index = 0; index < 8; index += 1) ids.push(await world.user(BigInt(index)))
  return { world, ids }
}

const ANYBODY: UserFilter = { externalId: null, from: null, to: null }
const ALL = 2n ** 62n

test('an ill shard fails the opening and the reading of its own users, and no others', async (t) => {
  const { world, ids } = await eightUsers(t)
  const ill = withIll(world.db, 2)
  const seen = await viewUsers(ill, [...ids, 999n])
  seen.forEach((user, index) => {
    const id = ids[index] ?? 999n
    if (id % 4n === 2n) assert.ok(user !== null && 'error' in user)
    else if (id === 999n) assert.equal(user, null)
    else assert.ok(user !== null && 'id' in user && user.id === id)
  })
  const answers = await openUsers(
    ill,
    Array.from({ length: 8 }, () => asked({})),
  )
  const kinds = answers.map(({ kind }) => kind)
  assert.equal(kinds.filter((kind) => kind === 'failed').length, 2)
  assert.equal(kinds.filter((kind) => kind === 'opened').length, 6)
})

test('a list of users goes on without an ill shard, and says so', async (t) => {
  const { world, ids } = await eightUsers(t)
  const newestFirst = ids.toReversed()
  const whole = await pageOfUsers(world.db, ANYBODY, ALL, 50)
  assert.deepEqual(
    whole.users.map(({ id }) => id),
    newestFirst,
  )
  assert.deepEqual(whole.missing, [])
  const ill = withIll(world.db, 2)
  const page = await pageOfUsers(ill, ANYBODY, ALL, 50)
  assert.deepEqual(
    page.users.map(({ id }) => id),
    newestFirst.filter((id) => id % 4n !== 2n),
  )
  assert.deepEqual([page.missing, page.next], [[2], null])
  const away = () => Promise.reject(new Unavailable('all are away'))
  const none = withShards(world.db, (shard) => ({ ...shard, run: away }))
  await assert.rejects(pageOfUsers(none, ANYBODY, ALL, 50), Unavailable)
})

test('a list of users over all shards pages without gaps or repeats', async (t) => {
  const { world, ids } = await eightUsers(t)
  const seen: bigint[] = []
  for (let before: bigint | null = ALL; before !== null;) {
    const { users, next } = await pageOfUsers(world.db, ANYBODY, before, 3)
    assert.ok(users.length <= 3)
    seen.push(...users.map(({ id }) => id))
    before = next
  }
  assert.deepEqual(seen, ids.toReversed())
})

test('a list of users by times has all in order, however far each shard is looked through', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  // More than a page looks at, in one shard, are too old; below them is one who is not.
  await world.sql(`
    insert into users (shard, id, available, held, created_at)
    select 0, 1000 + 2 * place, 0, 0, '2029-01-01' from generate_series(1, 10100) as place`)
  await world.sql(`
    insert into users (shard, id, available, held, created_at)
    select id % 2, id, 0, 0, '2030-01-02' from unnest(array[41, 43, 60, 70, 71]) as id`)
  // The last that the first page looks at is one of those.
  await world.sql(`update users set created_at = '2030-01-02' where id = 1202`)
  const from = new Date('2030-01-01')
  for (const limit of [1, 2, 50]) {
    const seen: bigint[] = []
    for (let before: bigint | null = ALL; before !== null;) {
      const { users, next } = await pageOfUsers(world.db, { ...ANYBODY, from }, before, limit)
      seen.push(...users.map(({ id }) => id))
      before = next
    }
    assert.deepEqual(seen, [1202n, 71n, 70n, 60n, 43n, 41n], `${limit} a page`)
  }
})

test('a user is found by its external id, by times, and by both', async (t) => {
  const world = await testWorld(t, { shards: SHARDS })
  const first = openedId(await open(world.db, { externalId: 'a' }))
  world.clock.advance(60_000)
  const second = openedId(await open(world.db, { externalId: 'b', key: 'k' }))
  const start = new Date(world.clock.now().getTime() - 60_000)
  const later = world.clock.now()
  const list = async (filter: Partial<UserFilter>) => {
    const { users } = await pageOfUsers(world.db, { ...ANYBODY, ...filter }, ALL, 50)
    return users.map(({ id }) => id)
  }
  assert.deepEqual(await list({ externalId: 'a' }), [first])
  assert.deepEqual(await list({ externalId: 'c' }), [])
  assert.deepEqual(await list({ from: later }), [second])
  assert.deepEqual(await list({ to: later }), [first])
  assert.deepEqual(new Set(await list({ from: start })), new Set([first, second]))
  assert.deepEqual(await list({ from: later, externalId: 'a' }), [])
  assert.deepEqual(await list({ from: later, externalId: 'b' }), [second])
  assert.deepEqual(await list({ to: later, externalId: 'a' }), [first])
  assert.deepEqual(await list({ to: later, externalId: 'b' }), [])
  const below = await pageOfUsers(world.db, { ...ANYBODY, externalId: 'a' }, first, 50)
  assert.deepEqual(below.users, [], 'a cursor holds for the one user as well')
})

test('ids are taken in the shards that were asked for', async (t) => {
  const { db } = await testWorld(t, { shards: 64 })
  const homes = [3, null, 63, 3, 0, null]
  const ids = await takeIdsIn(db, homes)
  assert.equal(new Set(ids).size, homes.length)
  homes.forEach((home, index) => {
    if (home !== null) assert.equal(Number((ids[index] ?? 0n) % 64n), home)
  })
})
