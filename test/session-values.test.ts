import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sessions, type Driver } from '../src/adapters/shard-session.ts'
import type { Statement, Unsharded } from '../src/ports.ts'

/** A driver that tells what it was given, and knows the ids that it is asked for. */
function recording() {
  const told: unknown[] = []
  const tell = (how: string, { name }: Statement<unknown>, values: readonly unknown[]) =>
    void told.push([how, name, ...values])
  const driver: Driver = {
    run(statement, values) {
      tell('run', statement, values)
      return Promise.resolve([])
    },
    transaction(work, lockMs) {
      told.push(['begin', lockMs])
      return work({
        run<Row>(statement: Statement<Row>, values: readonly unknown[]) {
          tell('tx run', statement, values)
          const rows = statement.name === 'session_ids' ? [{ ids: '7,12,17' } as Row] : []
          return Promise.resolve(rows)
        },
        write: (statement, values) => tell('tx write', statement, values),
      })
    },
  }
  return { driver, told: () => told.splice(0) }
}

const PLAIN: Statement<never> = { name: 'plain', text: '' }
const TIMED: Statement<never> = { name: 'timed', text: '', clock: true }
const GLOBAL: Unsharded<never> = { name: 'global', text: '', sharded: false }
const TIMED_GLOBAL: Unsharded<never> = { ...GLOBAL, name: 'timed_global', clock: true }

const NOW = new Date('2030-01-01T00:00:00Z')

test('a statement gets its shard and its time in front of its values, however it is run', async () => {
  const { driver, told } = recording()
  const db = sessions(driver, { currency: 'USD', shards: 3, now: () => NOW })
  assert.deepEqual(
    db.shards.map(({ number }) => number),
    [0, 1, 2],
  )
  const shard = db.of(5n)
  assert.equal(shard, db.shards[2])
  const all: readonly (readonly [Statement<never>, readonly unknown[]])[] = [
    [PLAIN, [2, 'v']],
    [TIMED, [2, NOW, 'v']],
    [GLOBAL, ['v']],
    [TIMED_GLOBAL, [NOW, 'v']],
  ]
  for (const [statement, values] of all) {
    await shard.run(statement, ['v'])
    await shard.transaction(async (tx) => {
      await tx.run(statement, ['v'])
      tx.write(statement, ['v'])
    }, 40)
    assert.deepEqual(told(), [
      ['run', statement.name, ...values],
      ['begin', 40],
      ['tx run', statement.name, ...values],
      ['tx write', statement.name, ...values],
    ])
  }
  await db.global.run(GLOBAL, ['v'])
  await db.global.run(TIMED_GLOBAL, ['v'])
  assert.deepEqual(told(), [
    ['run', 'global', 'v'],
    ['run', 'timed_global', NOW, 'v'],
  ])
})

test('without a time of its own a session leaves the time to the database', async () => {
  const { driver, told } = recording()
  const db = sessions(driver, { currency: 'USD', shards: 1 })
  await db.of(7n).run(TIMED, [])
  await db.of(7n).transaction(() => Promise.resolve())
  assert.deepEqual(told(), [
    ['run', 'timed', 0, null],
    ['begin', undefined],
  ])
})

test('ids are taken for the shard of the transaction, as many as asked for, and none for none', async () => {
  const { driver, told } = recording()
  const db = sessions(driver, { currency: 'USD', shards: 5 })
  await db.of(7n).transaction(async (tx) => {
    assert.deepEqual(await tx.ids('payment_ids', 3), [7n, 12n, 17n])
    assert.deepEqual(told(), [
      ['begin', undefined],
      ['tx run', 'session_ids', 'payment_ids', 5, 2, 3],
    ])
    assert.deepEqual(await tx.ids('payment_ids', 0), [])
    assert.deepEqual(told(), [])
  })
})
