import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shardByShard } from '../src/adapters/citus-driver.ts'
import { citusPlaces } from '../src/adapters/citus-places.ts'
import type { Driver } from '../src/adapters/shard-session.ts'
import { Unavailable, type Statement } from '../src/ports.ts'
import { manualClock } from './harness.ts'

const SHARDS = 4

/** A coordinator that tells which node each shard is on, and can be away. */
function world() {
  const clock = manualClock()
  const nodes = ['one', 'one', 'two', 'two']
  let looks = 0
  let away = false
  const run = () => {
    looks += 1
    if (away) return Promise.reject(new Unavailable('away'))
    const rows = nodes.map((host, number) => {
      const tables = `users=users_${number},payments=payments_${number}`
      const direct = host !== 'coordinator'
      return { number, host, port: 5432, group: 1, direct, bucket: `${number}`, tables }
    })
    return Promise.resolve(rows)
  }
  const coordinator = { run: run as unknown as Driver['run'] }
  const places = citusPlaces({ coordinator, shards: SHARDS, elapsedMs: clock.elapsedMs })
  return {
    clock,
    nodes,
    places,
    looks: () => looks,
    fall: (is: boolean) => void (away = is),
    async hostOf(number: number) {
      const place = await places.of(number)
      // Whoever looks in the background has looked.
      await new Promise(setImmediate)
      return place.node?.host ?? null
    },
  }
}

test('the coordinator is asked once where shards are, and again when that is old or in doubt', async () => {
  const { clock, nodes, places, looks, hostOf } = world()
  assert.deepEqual(
    await Promise.all([0, 1, 2, 3].map(hostOf)),
    ['one', 'one', 'two', 'two'],
    'whoever asks first waits',
  )
  assert.equal(looks(), 1)
  nodes[0] = 'two'
  nodes[3] = 'coordinator'
  clock.advance(4_999)
  assert.equal(await hostOf(0), 'one')
  clock.advance(1)
  assert.equal(await hostOf(0), 'one', 'nobody waits for a look at what is known')
  assert.equal(await hostOf(0), 'two')
  assert.equal(await hostOf(3), null, 'what the coordinator alone can ask it is asked for')
  assert.equal(looks(), 2)

  nodes[1] = 'two'
  places.doubt()
  assert.equal(await hostOf(1), 'one')
  assert.equal(looks(), 2, 'failures one after the other are no looks one after the other')
  clock.advance(250)
  await hostOf(1)
  assert.equal(await hostOf(1), 'two')
  assert.equal(looks(), 3)
})

test('while the coordinator is away, shards are where they were', async () => {
  const { clock, places, looks, fall, hostOf } = world()
  fall(true)
  await assert.rejects(hostOf(2), Unavailable)
  fall(false)
  assert.equal(await hostOf(2), 'two')
  fall(true)
  clock.advance(60_000)
  assert.equal(await hostOf(2), 'two')
  assert.equal(await hostOf(2), 'two')
  assert.equal(looks(), 3, 'the next look is as far away as after one that succeeded')
  await assert.rejects(places.read(), Unavailable)
})

test('Citus that does not tell of every shard is not believed', async () => {
  const { nodes, places } = world()
  nodes.pop()
  await assert.rejects(places.read(), /does not tell of every shard/)
})

test('what names no shard is asked of the coordinator, and the rest of the node', async () => {
  const asked: string[] = []
  const at = (where: string): Driver => {
    const run: Driver['run'] = ({ name, text }) => {
      asked.push(`${where} ${name}: ${text}`)
      return Promise.resolve([])
    }
    return {
      run,
      transaction: async (work) => work({ run, write: (...sent) => void run(...sent) }),
    }
  }
  const statements: readonly Statement<unknown>[] = [
    { name: 'payment', text: 'select from payments where shard = $1' },
    { name: 'look', sharded: false, text: 'from users u where u.shard = asked.number' },
    { name: 'timed', sharded: false, clock: true, text: 'where u.shard = asked.number' },
    { name: 'fact', sharded: false, text: 'select value from settings' },
  ]
  const driver = shardByShard(at('node'), at('coordinator')).anywhere
  for (const statement of statements) await driver.run(statement, [])
  await driver.transaction(async (tx) => {
    for (const statement of statements.slice(1)) await tx.run(statement, [])
  })
  assert.deepEqual(asked, [
    'node payment: select from payments where shard = $1',
    'node look: from users u where u.shard = $1::int',
    'node timed: where u.shard = $2::int',
    'coordinator fact: select value from settings',
    'node look: from users u where u.shard = $1::int',
    'node timed: where u.shard = $2::int',
    'node fact: select value from settings',
  ])
})
