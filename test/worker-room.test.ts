import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSettler } from '../src/queue/settler.ts'
import { roomBeside, together } from '../src/queue/workers.ts'
import { startWorker, type Worker } from '../src/queue/worker.ts'
import { manualClock } from './harness.ts'

const TOTAL = 8

/** A clock on which a wait ends when somebody wakes the waiting one, and on no other account. */
const clock = {
  ...manualClock(),
  sleep: (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((done) => signal?.addEventListener('abort', () => done(), { once: true })),
}

function fail(error: unknown): never {
  assert.fail(String(error))
}

/** Wait until all that is ready to run has run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done))
}

/** Loops whose jobs end only when they are told, with as much due as they can take. */
function loopsOf(names: readonly string[]) {
  const workers = new Map<string, Worker>()
  const ends = new Map<string, (() => void)[]>(names.map((name) => [name, []]))
  const due = new Map<string, number>()
  const start = (name: string): void => {
    const others = () =>
      [...workers].reduce((sum, [other, each]) => sum + (other === name ? 0 : each.running()), 0)
    const settler = openSettler<string>({
      settle: () => Promise.resolve([]),
      clock,
      batchMax: 100,
      keyOf: (done) => done,
      faultyMsMax: 0,
      onError: fail,
      onGivenUp: fail,
    })
    const worker = startWorker<string, string>({
      claim: (limit) => {
        const taken = Math.min(limit, due.get(name) ?? 0)
        due.set(name, (due.get(name) ?? 0) - taken)
        return Promise.resolve(Array.from({ length: taken }, () => name))
      },
      handle: (job) => new Promise((done) => ends.get(name)?.push(() => done(job))),
      settler,
      admitted: (wanted) => wanted,
      clock,
      concurrency: () => roomBeside(TOTAL, names.length, others()),
      batchMax: 100,
      pollMs: 1_000,
      stopMsMax: 0,
      onError: fail,
    })
    workers.set(name, worker)
  }
  return {
    async add(name: string, jobs: number) {
      due.set(name, (due.get(name) ?? 0) + jobs)
      if (!workers.has(name)) start(name)
      workers.get(name)?.wake()
      await settled()
    },
    async end(name: string, jobs = Infinity) {
      for (const end of (ends.get(name) ?? []).splice(0, jobs)) end()
      await settled()
    },
    stop: () => together(workers).stop(),
    running: (name: string) => workers.get(name)?.running() ?? 0,
  }
}

test('one operation may use all calls of a worker while the other has nothing to do', async () => {
  const loops = loopsOf(['charge', 'payout'])
  await loops.add('charge', 100)
  assert.equal(loops.running('charge'), TOTAL)
})

test('calls of one operation that hang leave the other its half', async () => {
  const loops = loopsOf(['charge', 'payout'])
  await loops.add('payout', 100)
  await loops.add('charge', 100)
  assert.deepEqual([loops.running('payout'), loops.running('charge')], [TOTAL, TOTAL / 2])
})

test('two operations with much to do share the calls of a worker, no more than it may make', async () => {
  const loops = loopsOf(['charge', 'payout'])
  await loops.add('payout', 100)
  await loops.add('charge', 100)
  await loops.end('payout', TOTAL)
  assert.deepEqual([loops.running('payout'), loops.running('charge')], [TOTAL / 2, TOTAL / 2])
  await loops.end('charge')
  await loops.end('payout')
  assert.equal(loops.running('payout') + loops.running('charge'), TOTAL)
})

test('a worker that stops begins nothing more in any loop, while jobs of another still run', async () => {
  const loops = loopsOf(['charge', 'payout'])
  await loops.add('charge', 100)
  await loops.add('payout', 100)
  const stopped = loops.stop()
  await loops.end('payout')
  assert.deepEqual([loops.running('charge'), loops.running('payout')], [TOTAL, 0])
  await loops.end('charge')
  assert.equal(loops.running('charge'), 0)
  await stopped
})

test('a loop may use what the others leave, and is always sure of its part', () => {
  const rows = [
    [8, 2, 0, 8],
    [8, 2, 3, 5],
    [8, 2, 5, 4],
    [8, 2, 8, 4],
    [7, 2, 7, 4],
    [5, 3, 5, 2],
    [1, 2, 1, 1],
  ] as const
  for (const [total, loops, others, room] of rows) {
    assert.equal(roomBeside(total, loops, others), room, `${total} ${loops} ${others}`)
  }
})

test('several loops are woken, counted and stopped as one', async () => {
  const ends: (() => void)[] = []
  const woken: string[] = []
  const loop = (name: string, running: number, turnedMs: number): Worker => ({
    wake: () => void woken.push(name),
    running: () => running,
    turnedMs: () => turnedMs,
    stop: () => new Promise((resolve) => ends.push(resolve)),
  })
  const all = together(
    new Map([
      ['charge', loop('charge', 2, 70)],
      ['payout', loop('payout', 3, 60)],
    ]),
  )
  all.wake('payout')
  assert.deepEqual(woken.splice(0), ['payout'])
  all.wake()
  assert.deepEqual(woken, ['charge', 'payout'])
  // It is as alive as the loop that has stood still the longest.
  assert.deepEqual([all.running(), all.turnedMs()], [5, 60])
  let stopped = false
  const stopping = all.stop().then(() => (stopped = true))
  assert.equal(ends.length, 2, 'all are told at once')
  ends[0]?.()
  await settled()
  assert.equal(stopped, false)
  ends[1]?.()
  await stopping
})
