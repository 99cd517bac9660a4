import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { unsettledIn } from '../src/adapters/unsettled.ts'
import type { ChargeWorld, Settlement } from '../src/charging/charge.ts'
import { CommitUnknown, Unavailable } from '../src/ports.ts'
import type { Process } from '../src/process/shared.ts'
import { openSettlements, settleLeftovers } from '../src/process/settlements.ts'
import { withShards } from '../src/each-shard.ts'
import { LEASE_MS, testWorld, raw, type TestWorld } from './harness.ts'
import { until } from './process-kit.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'unsettled-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('what a stopped process left is read as it was, and settles as if it had never stopped', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  const draft = { type: 'withdraw', userId, amount: 100n, idempotencyKey: null } as const
  await world.accept([draft, draft])
  const settlements = await world.claimAndCharge()

  const folder = folderOf(t)
  const path = unsettledIn(folder).keep(settlements)
  const later = unsettledIn(folder)
  assert.deepEqual(later.files(), [path])
  const read = later.read(path) as Settlement[]
  assert.deepEqual(read, settlements)

  // Settled by two processes that found it: once.
  await Promise.all([world.settle(read), world.settle(read)])
  const rows = await world.sql<{ status: string }>('select status from payments')
  assert.deepEqual(rows, [{ status: 'success' }, { status: 'success' }])
  later.remove(path)
  later.remove(path)
  assert.deepEqual(later.files(), [])
})

test('what was left about a claim that somebody took over becomes late evidence', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const folder = unsettledIn(folderOf(t))
  const path = folder.keep(await world.claimAndCharge())
  world.clock.advance(LEASE_MS)
  await world.work()
  await world.settle(folder.read(path) as Settlement[])
  const late = await world.sql('select outcome from payment_attempts where late')
  assert.deepEqual(late, [{ outcome: 'success' }])
})

test('a file that is not whole, or of another version, settles nothing and stays', (t) => {
  const folder = folderOf(t)
  const left = unsettledIn(folder)
  writeFileSync(join(folder, 'a.unsettled.jsonl.part'), '"payments-unsettled-1"\n{"cl')
  writeFileSync(join(folder, 'b.unsettled.jsonl'), '"payments-unsettled-9"\n{}\n')
  const [other = '', ...more] = left.files()
  assert.deepEqual(more, [])
  assert.throws(() => left.read(other), /another version/)
  assert.equal(readdirSync(folder).length, 2)
})

test('what is left about money is for its owner only', (t) => {
  const folder = folderOf(t)
  const path = unsettledIn(folder).keep([{ amount: 1n }])
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

/** As much of a process as settlements need, and what it logs. */
function processWith(unsettledDir: string | null) {
  const lines: Record<string, unknown>[] = []
  const write = (line: Record<string, unknown>) => void lines.push(line)
  const log = { info: write, warn: write, error: write }
  const config = { unsettledDir, workerBatch: 500, leaseMs: LEASE_MS, shutdownTimeoutMs: 8_000 }
  // Nothing else of a process is asked for.
  return { lines, own: { config, log, tracer: null } as unknown as Process }
}

for (const [name, chosen, why] of [
  ['is left in a file, and the next one to start writes it', true, new Unavailable('away')],
  ['as nobody knows of its commit is left in a file as well', true, new CommitUnknown('cut')],
  ['has its last word in the log, where no folder is set', false, new Unavailable('away')],
] as const) {
  test(`what a stopping process cannot write ${name}`, async (t) => {
    const world = await testWorld(t)
    const userId = await world.user(10_000n)
    await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
    const [done] = await world.claimAndCharge()
    assert.ok(done, 'done')
    const folder = folderOf(t)
    const stopping = processWith(chosen ? folder : null)
    const away = () => Promise.reject(why)
    const db = withShards(world.db, (shard) => ({ ...shard, run: away, transaction: away }))
    const cut = { ...world.world, db }
    const settler = openSettlements(stopping.own, cut, () => undefined)
    settler.hurry(0)
    await settler.submit(done)

    const word = stopping.lines.find(({ payment }) => payment === Number(done.claim.payment.id))
    assert.equal(word?.['outcome'], 'charge success')
    assert.equal(readdirSync(folder).length, chosen ? 1 : 0)

    const next = processWith(folder)
    const later = openSettlements(next.own, world.world, () => undefined)
    settleLeftovers(next.own, later)
    await later.idle()
    const status = (await world.view(done.claim.payment.id)).status
    assert.equal(status, chosen ? 'success' : 'processing')
  })
}

test('a call of which a file tells began when it was made, on the clock of whoever reads it', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const madeMs = world.clock.now().getTime()
  const [done] = await world.claimAndCharge()
  assert.ok(done, 'done')
  const folder = folderOf(t)
  const away = () => Promise.reject(new Unavailable('away'))
  const db = withShards(world.db, (shard) => ({ ...shard, run: away, transaction: away }))
  const stopping = openSettlements(processWith(folder).own, { ...world.world, db }, () => undefined)
  stopping.hurry(0)
  await stopping.submit(done)
  const [path = ''] = unsettledIn(folder).files()
  const [kept] = unsettledIn(folder).read(path) as Settlement[]
  const shiftedMs = (kept?.calls[0]?.startedMs ?? 0) - (done.calls[0]?.startedMs ?? 0)
  assert.ok(shiftedMs > Date.parse('2020-01-01'), 'a monotonic clock is of its process alone')

  world.clock.advance(60_000)
  const next = processWith(folder)
  const later = openSettlements(next.own, world.world, () => undefined)
  settleLeftovers(next.own, later)
  await later.idle()
  const [call] = await world.sql<{ at: Date }>('select started_at as at from payment_attempts')
  // What the clocks differ by is reckoned twice.
  assert.equal(Math.round(((call?.at.getTime() ?? 0) - madeMs) / 1_000), 0)
})

test('what waits for somebody else’s lock to the end is left in a file as well', async (t) => {
  const world = await testWorld(t)
  const userId = await world.user(10_000n)
  await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const [done] = await world.claimAndCharge()
  assert.ok(done, 'done')
  const folder = folderOf(t)
  await world.db.of(0n).transaction(async (tx) => {
    await tx.run(raw(`select from users where id = ${userId} for update`), [])
    const stopping = openSettlements(processWith(folder).own, world.world, () => undefined)
    stopping.hurry(0)
    await stopping.submit(done)
    await stopping.idle()
  })
  assert.equal(readdirSync(folder).length, 1)

  const next = processWith(folder)
  const later = openSettlements(next.own, world.world, () => undefined)
  settleLeftovers(next.own, later)
  await later.idle()
  assert.equal((await world.view(done.claim.payment.id)).status, 'success')
})

test('what one shard does not take is kept until it does, whatever the others take', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  for (const userId of [await world.user(10_000n), await world.user(10_000n)]) {
    await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  }
  const settlements = await world.claimAndCharge()
  const shardOf = ({ claim }: Settlement) => world.db.of(claim.payment.id).number
  assert.deepEqual(settlements.map(shardOf).toSorted(), [0, 1])
  const shard = { away: true }
  const db = withShards(world.db, (own) => ({
    ...own,
    transaction: (work, lockMs) =>
      own.number === 0 && shard.away
        ? Promise.reject(new Unavailable('away'))
        : own.transaction(work, lockMs),
  }))
  const { submit } = openSettlements(processWith(null).own, { ...world.world, db }, () => undefined)
  const statusOf = async ({ claim }: Settlement) => (await world.view(claim.payment.id)).status
  const [away, other] = settlements.toSorted((one, two) => shardOf(one) - shardOf(two))
  assert.ok(away && other)
  const written = [submit(away), submit(other)]
  await written[1]
  assert.deepEqual([await statusOf(away), await statusOf(other)], ['processing', 'success'])
  shard.away = false
  await written[0]
  assert.equal(await statusOf(away), 'success')
})

/** Two results that nobody has written, of a user each, in a file of a folder. */
async function leftBehind(t: TestContext) {
  const world = await testWorld(t)
  const users = [await world.user(10_000n), await world.user(10_000n)]
  for (const userId of users)
    await world.accept([{ type: 'withdraw', userId, amount: 100n, idempotencyKey: null }])
  const folder = folderOf(t)
  const path = unsettledIn(folder).keep(await world.claimAndCharge())
  const statuses = async () => {
    const rows = await world.sql<{ status: string }>('select status from payments order by id')
    return rows.map(({ status }) => status)
  }
  return { world, users, folder, path, statuses }
}

/** Settlements of a process, which give up when the test is over, however it ends. */
function settling(t: TestContext, own: Process, world: ChargeWorld) {
  const settlements = openSettlements(own, world, () => undefined)
  t.after(() => settlements.hurry(0))
  return settlements
}

/** The database of a world, which is there only while `up.now`. */
function unreliable(world: TestWorld, up: { now: boolean }) {
  const db = withShards(world.db, (shard) => ({
    ...shard,
    transaction: (work, lockMs) =>
      up.now ? shard.transaction(work, lockMs) : Promise.reject(new Unavailable('away')),
  }))
  return { ...world.world, db }
}

test('a file of results stays as long as the database is away, and goes when all are written', async (t) => {
  const { world, users, folder, path, statuses } = await leftBehind(t)
  const up = { now: false }
  const next = processWith(folder)
  const settlements = settling(t, next.own, unreliable(world, up))
  settleLeftovers(next.own, settlements)
  await until('the database was tried', () => settlements.away())
  assert.deepEqual(unsettledIn(folder).files(), [path])

  // One of the two is written, and the other waits for somebody else's lock.
  await world.db.of(0n).transaction(async (tx) => {
    await tx.run(raw(`select from users where id = ${users[1]} for update`), [])
    up.now = true
    await until('one is written', async () => (await statuses())[0] === 'success')
    await until('one waits', () => settlements.aside() === 1)
    assert.deepEqual(unsettledIn(folder).files(), [path])
  })
  await settlements.idle()
  assert.deepEqual(await statuses(), ['success', 'success'])
  assert.deepEqual(readdirSync(folder), [])
})

test('a file of results that has to be left again is replaced, and stays where none can be written', async (t) => {
  const { world, folder, path, statuses } = await leftBehind(t)
  const cut = unreliable(world, { now: false })
  const giveUp = async (keeps: string) => {
    const settlements = settling(t, processWith(keeps).own, cut)
    settlements.hurry(0)
    settleLeftovers(processWith(folder).own, settlements)
    await settlements.idle()
  }
  // As on a full disk: below a file there is no folder.
  await giveUp(join(path, 'none'))
  assert.deepEqual(unsettledIn(folder).files(), [path])
  await giveUp(folder)
  const [other, ...more] = unsettledIn(folder).files()
  assert.deepEqual(more, [])
  assert.notEqual(other, path)

  const next = processWith(folder)
  const settlements = settling(t, next.own, world.world)
  settleLeftovers(next.own, settlements)
  await settlements.idle()
  assert.deepEqual(await statuses(), ['success', 'success'])
  assert.deepEqual(readdirSync(folder), [])
})

test('a file of results stays where one of them is written and the other cannot be kept', async (t) => {
  const { world, users, folder, path, statuses } = await leftBehind(t)
  const settlements = settling(t, processWith(join(path, 'none')).own, world.world)
  await world.db.of(0n).transaction(async (tx) => {
    await tx.run(raw(`select from users where id = ${users[1]} for update`), [])
    settleLeftovers(processWith(folder).own, settlements)
    await until('one is written', async () => (await statuses())[0] === 'success')
    await until('one waits', () => settlements.aside() === 1)
    settlements.hurry(0)
    await settlements.idle()
  })
  assert.deepEqual(unsettledIn(folder).files(), [path])

  const later = settling(t, processWith(folder).own, world.world)
  settleLeftovers(processWith(folder).own, later)
  await later.idle()
  assert.deepEqual(await statuses(), ['success', 'success'])
  assert.deepEqual(readdirSync(folder), [])
})

test('a file of results that cannot be removed is told, and ends no process', async (t) => {
  const { world, folder, path, statuses } = await leftBehind(t)
  const next = processWith(folder)
  const settlements = settling(t, next.own, world.world)
  settleLeftovers(next.own, settlements)
  // It has been read, and the name is now that of a folder.
  rmSync(path)
  mkdirSync(path)
  await settlements.idle()
  assert.deepEqual(await statuses(), ['success', 'success'])
  await until('it is told', () => next.lines.some(({ file, err }) => file === path && err))
})
