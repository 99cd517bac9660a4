import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { forgetNotices } from '../src/charging/notices-store.ts'
import { takeNotice } from '../src/charging/notices.ts'
import { withShards } from '../src/each-shard.ts'
import { CommitUnknown, Unavailable, type Db, type Notice, type RawNotice } from '../src/ports.ts'
import { queueOf } from './queue-kit.ts'

const DAY_MS = 86_400_000

/** A notice as a driver reads it. */
function about(paymentId: bigint | null, dedupeKey: string, kind: 'authentic' | 'hint') {
  const said = { ref: 'pi_1', event: 'payment_intent.succeeded', status: 'succeeded' }
  return { kind, operation: 'charge', paymentId, dedupeKey, ...said } satisfies Notice
}

const RAW: RawNotice = { source: '198.51.100.1', headers: {}, body: Buffer.alloc(0) }

/** A payment that its gateway has in hand, and a way to send notices about it. */
async function noticed(t: TestContext) {
  const queue = await queueOf(t)
  const { world } = queue
  await queue.put({ payment_id: 1, run_at: 3_600_000, pendings: 2, pending_at: -9 })
  const send = async (notice: Notice, db: Db = world.db) => {
    const ends: string[] = []
    const { profile } = world.gateway
    const gateways = new Map([['http', { profile, readNotice: () => notice }]])
    const woken = { onHurried: () => ends.push('woken'), onWatched: () => ends.push('woken') }
    const onNotice = (_: string, end: string) => void ends.push(end)
    await takeNotice({ db, gateways, ...woken, onNotice }, 'http', RAW, () => 0)
    return ends
  }
  const kept = () =>
    world.sql<{ key: string; payment: bigint | null; verdict: string }>(
      `select dedupe_key as key, payment_id as payment, verdict
       from gateway_notices
       order by dedupe_key`,
    )
  return { ...queue, send, kept }
}

/** A database whose next transaction ends like this. */
function ending(db: Db, how: 'before' | 'after'): Db {
  return withShards(db, (shard) => ({
    ...shard,
    async transaction(work, lockMs) {
      if (how === 'before') throw new Unavailable('away')
      await shard.transaction(work, lockMs)
      throw new CommitUnknown('the reply was lost')
    },
  }))
}

test('an authentic notice is kept with what came of it, and does nothing when it comes again', async (t) => {
  const { send, kept, world } = await noticed(t)
  const notice = about(1n, 'evt_1', 'authentic')
  assert.deepEqual(await send(notice), ['hurried', 'woken'])
  world.clock.advance(20_000)
  assert.deepEqual(await send(notice), ['duplicate'])
  assert.deepEqual(await send(about(null, 'evt_2', 'authentic')), ['nothing'])
  assert.deepEqual(await kept(), [
    { key: 'evt_1', payment: 1n, verdict: 'hurried' },
    { key: 'evt_2', payment: null, verdict: 'nothing' },
  ])
})

test('what nobody has signed, or is refused or of no use, leaves nothing behind', async (t) => {
  const { send, kept } = await noticed(t)
  for (let at = 0; at < 50; at += 1) {
    await send(about(at === 0 ? 1n : 99n, `hint-${at}`, 'hint'))
    await send({ kind: 'refused', reason: 'signature_wrong' })
    await send({ kind: 'ignored', reason: 'other_event' })
  }
  assert.deepEqual(await kept(), [])
})

test('a notice that could not be kept does nothing, and is new when it is sent again', async (t) => {
  const { send, kept, rows, world } = await noticed(t)
  const notice = about(1n, 'evt_1', 'authentic')
  const before = await rows()
  await assert.rejects(send(notice, ending(world.db, 'before')), Unavailable)
  assert.deepEqual([await kept(), await rows()], [[], before])
  assert.deepEqual(await send(notice), ['hurried', 'woken'])
})

test('a notice whose answer was lost is known when it is sent again, and was not lost', async (t) => {
  const { send, kept, rows, world } = await noticed(t)
  const notice = about(1n, 'evt_1', 'authentic')
  await assert.rejects(send(notice, ending(world.db, 'after')), CommitUnknown)
  assert.equal((await kept()).length, 1)
  assert.equal((await rows())['0/1']?.asked_at, 0)
  assert.deepEqual(await send(notice), ['duplicate'])
})

test('of one notice that comes many times at once one is kept', async (t) => {
  const { send, kept, world } = await noticed(t)
  const notice = about(1n, 'evt_1', 'authentic')
  const other = world.connect()
  const sent = Array.from({ length: 20 }, (_, at) => send(notice, at % 2 === 0 ? world.db : other))
  const ends = (await Promise.all(sent)).flat()
  assert.equal(ends.filter((end) => end === 'hurried').length, 1)
  assert.equal((await kept()).length, 1)
})

test('notices are forgotten after thirty days, a thousand at a time', async (t) => {
  const { send, kept, shard, world } = await noticed(t)
  await world.sql(
    `insert into gateway_notices
     select 0, 'http', 'old ' || n, n, 'charge', 'r', 'e', '', 'nothing', $1::timestamptz
     from generate_series(1, 1500) n`,
    [world.clock.now()],
  )
  world.clock.advance(DAY_MS)
  await send(about(1n, 'evt_1', 'authentic'))
  world.clock.advance(29 * DAY_MS)
  assert.equal(await forgetNotices(shard), false)
  assert.equal((await kept()).length, 1_501)
  world.clock.advance(1)
  assert.equal(await forgetNotices(shard), true)
  assert.equal((await kept()).length, 501)
  assert.equal(await forgetNotices(shard), false)
  assert.deepEqual(
    (await kept()).map(({ key }) => key),
    ['evt_1'],
  )
})
