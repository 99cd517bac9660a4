import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { charge, claim, type Claim, type Settlement } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import { CommitUnknown, Unavailable, type Clock, type Db } from '../src/ports.ts'
import { openSettler } from '../src/queue/settler.ts'
import { startWorker } from '../src/queue/worker.ts'
import { withShards } from '../src/each-shard.ts'
import { LEASE_MS, testWorld, type TestWorld } from './harness.ts'

/** A database whose line is cut when told; `lost` loses the replies to COMMIT instead. */
function cuttable(db: Db) {
  const line = { state: 'up' as 'up' | 'cut' | 'lost' }
  const cut = () => new Unavailable('the line is cut')
  const cuttables = withShards(db, (shard) => ({
    ...shard,
    run: (statement, values) =>
      line.state === 'cut' ? Promise.reject(cut()) : shard.run(statement, values),
    async transaction(work, lockMs) {
      if (line.state === 'cut') throw cut()
      const result = await shard.transaction(work, lockMs)
      if (line.state === 'lost') throw new CommitUnknown('the reply was lost')
      return result
    },
  }))
  return { ...cuttables, line }
}

/** A worker on a line that can be cut, whose gateway answers when the gate opens. */
function workerOf(world: TestWorld, concurrency: number) {
  // Naps end by themselves, or a test would have to know when to advance the time.
  const clock: Clock = { ...world.clock, sleep: async () => void (await turn()) }
  const db = cuttable(world.db)
  const own = { ...world.world, db, clock }
  const givenUp: Settlement[] = []
  const seen = { claims: 0 }
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  const settler = openSettler<Settlement>({
    settle: async (done) => (await settle(own, done)).busy,
    clock,
    batchMax: 50,
    keyOf: ({ claim: { payment } }) => payment.userId,
    faultyMsMax: LEASE_MS,
    onError: () => undefined,
    onGivenUp: (done) => givenUp.push(...done),
  })
  const worker = startWorker<Claim, Settlement>({
    async claim(limit) {
      seen.claims += 1
      return claim(own, limit)
    },
    async handle(claimed, signal) {
      await gate
      return charge({ ...own, db: world.db }, claimed, signal)
    },
    settler,
    admitted: (wanted) => wanted,
    clock,
    concurrency: () => concurrency,
    batchMax: concurrency,
    pollMs: 500,
    stopMsMax: 1_000,
    onError: () => undefined,
  })
  return { worker, settler, line: db.line, seen, givenUp, open }
}

async function pay(world: TestWorld, count: number): Promise<void> {
  const userId = await world.user(10_000_000n)
  const draft = { type: 'withdraw', userId, amount: 100n, idempotencyKey: null } as const
  await world.accept(Array.from({ length: count }, () => draft))
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) await turn()
}

const CALLS = 200

/** Calls of 200 payments in flight, then a line that is cut for three leases. */
async function outage(world: TestWorld) {
  await pay(world, CALLS)
  const own = workerOf(world, CALLS)
  await until(() => own.worker.running() === CALLS)
  own.line.state = 'cut'
  own.open()
  await until(() => own.worker.running() === 0 && own.settler.away())
  return own
}

async function words(world: TestWorld) {
  const [row] = await world.sql<{ words: bigint; late: bigint }>(`
    select count(*) as words, count(*) filter (where late) as late
    from payment_attempts
    where fence = 1 and kind = 'charge' and outcome = 'success'`)
  return row
}

test('after three leases without the database every word of 200 calls is written', async (t) => {
  const world = await testWorld(t)
  const { worker, line, seen, givenUp } = await outage(world)
  const { claims } = seen
  for (let lease = 0; lease < 3; lease += 1) {
    world.clock.advance(LEASE_MS)
    for (let count = 0; count < 50; count += 1) await turn()
  }
  assert.equal(seen.claims, claims, 'nothing is claimed while words wait')

  line.state = 'up'
  await worker.stop()
  assert.deepEqual(await words(world), { words: 200n, late: 0n })
  const [row] = await world.sql<{ paid: bigint }>(
    `select count(*) as paid from payments where status = 'success'`,
  )
  assert.equal(row?.paid, 200n)
  assert.deepEqual(givenUp, [])
  assert.ok([...world.gateway.charged.values()].every(({ length }) => length === 1))
})

test('words about claims that others took over meanwhile are written as late evidence', async (t) => {
  const world = await testWorld(t)
  const { worker, line, givenUp } = await outage(world)
  world.clock.advance(LEASE_MS)
  await world.work()
  line.state = 'up'
  await worker.stop()
  assert.deepEqual(await words(world), { words: 200n, late: 200n })
  assert.deepEqual(givenUp, [])
})

test('words whose COMMIT was not answered are written once', async (t) => {
  const world = await testWorld(t)
  await pay(world, 20)
  const { worker, line, open, settler } = workerOf(world, 20)
  await until(() => worker.running() === 20)
  line.state = 'lost'
  open()
  await until(() => worker.running() === 0 && settler.away())
  line.state = 'up'
  await worker.stop()
  assert.deepEqual(await words(world), { words: 20n, late: 0n })
  const [row] = await world.sql<{ held: bigint }>('select held from users')
  assert.equal(row?.held, 0n)
})

test('a worker that stops while the database stays away waits a while, and says what is lost', async (t) => {
  const world = await testWorld(t)
  const { worker, givenUp } = await outage(world)
  let stopped = false
  const stopping = worker.stop().then(() => (stopped = true))
  for (let count = 0; count < 50; count += 1) await turn()
  assert.equal(stopped, false)
  world.clock.advance(1_000)
  await stopping
  assert.equal(givenUp.length, CALLS)
})
