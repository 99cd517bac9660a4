import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Unavailable } from '../src/ports.ts'
import { openSettler } from '../src/queue/settler.ts'
import { startWorker } from '../src/queue/worker.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

const POLL_MS = 500
const STOP_MS_MAX = 2_000
const RETRY_MS = 200

interface Options {
  readonly concurrency: number
  readonly batchMax?: number
  readonly admitted?: (wanted: number, running: number) => number
}

/** A worker with as many due jobs as told, whose jobs and settlements end when they are told. */
function workerOf({ concurrency, batchMax = 100, admitted = (wanted) => wanted }: Options) {
  const clock = waitingClock()
  const seen = {
    /** How many jobs each claim asked for. */
    claims: [] as number[],
    errors: [] as string[],
    givenUp: 0,
    /** What tells each job to stop. */
    signals: [] as AbortSignal[],
  }
  const state = {
    due: 0,
    claim: 'works',
    settle: (_done: readonly number[]): readonly number[] | Promise<readonly number[]> => [],
  }
  const running: { end: (error?: Error) => void }[] = []
  let number = 0
  const settler = openSettler<number>({
    settle: (done) => Promise.resolve().then(() => state.settle(done)),
    clock,
    batchMax: 20_000,
    keyOf: (done) => done,
    faultyMsMax: 0,
    onError: () => undefined,
    onGivenUp: (done) => (seen.givenUp += done.length),
  })
  const worker = startWorker<number, number>({
    async claim(limit) {
      seen.claims.push(limit)
      if (state.claim !== 'works') throw new Error(state.claim)
      const taken = Math.min(limit, state.due)
      state.due -= taken
      return Array.from({ length: taken }, () => (number += 1))
    },
    handle: (job, signal) =>
      new Promise((resolve, reject) => {
        seen.signals.push(signal)
        running.push({ end: (error) => (error === undefined ? resolve(job) : reject(error)) })
      }),
    settler,
    admitted,
    clock,
    concurrency: () => concurrency,
    batchMax,
    pollMs: POLL_MS,
    stopMsMax: STOP_MS_MAX,
    onError: (error, what) => seen.errors.push(`${what}: ${(error as Error).message}`),
  })
  return {
    clock,
    seen,
    state,
    settler,
    worker,
    async due(jobs: number) {
      state.due += jobs
      worker.wake()
      await quiet()
    },
    async end(jobs: number, error?: Error) {
      for (const { end } of running.splice(0, jobs)) end(error)
      await quiet()
    },
  }
}

test('as many jobs are claimed as may run, in claims of at most a batch, without waiting', async () => {
  const { seen, worker, due, clock } = workerOf({ concurrency: 8, batchMax: 5 })
  await quiet()
  assert.deepEqual([seen.claims, clock.waits()], [[5], [POLL_MS]])
  await due(100)
  // What is left of the room is less than a batch and more than a quarter.
  assert.deepEqual([seen.claims, worker.running()], [[5, 5, 3], 8])
})

test('with nothing due it looks again after each poll, and at once when it is woken', async () => {
  const { seen, worker, clock, state } = workerOf({ concurrency: 4 })
  await quiet()
  await clock.advance(POLL_MS - 1)
  assert.equal(seen.claims.length, 1)
  await clock.advance(1)
  assert.equal(seen.claims.length, 2)
  assert.equal(worker.turnedMs(), POLL_MS)
  state.due = 1
  await clock.advance(1)
  worker.wake()
  await quiet()
  assert.deepEqual([worker.running(), worker.turnedMs()], [1, POLL_MS + 1])
})

test('room is used when a quarter of it is free, at once and not before', async () => {
  const { seen, worker, due, end } = workerOf({ concurrency: 8 })
  await due(100)
  assert.deepEqual([seen.claims, worker.running()], [[8, 8], 8])
  await end(1)
  worker.wake()
  await quiet()
  assert.deepEqual([seen.claims.slice(2), worker.running()], [[], 7])
  await end(1)
  assert.deepEqual([seen.claims.slice(2), worker.running()], [[2], 8])
})

test('room for a whole batch is used, be it less than a quarter', async () => {
  const { seen, worker, due, end } = workerOf({ concurrency: 100, batchMax: 5 })
  await due(200)
  const before = seen.claims.length
  await end(4)
  worker.wake()
  await quiet()
  assert.deepEqual([seen.claims.slice(before), worker.running()], [[], 96])
  await end(1)
  worker.wake()
  await quiet()
  assert.deepEqual([seen.claims.slice(before), worker.running()], [[5], 100])
})

test('no more is claimed than is admitted, which is told what is wanted and what runs', async () => {
  const asked: number[][] = []
  const admitted = (wanted: number, running: number) => {
    asked.push([wanted, running])
    return running === 0 ? 3 : 0
  }
  const { seen, worker, due } = workerOf({ concurrency: 8, admitted })
  await due(100)
  assert.deepEqual([seen.claims, worker.running()], [[3, 3], 3])
  assert.deepEqual(asked, [
    [8, 0],
    [8, 0],
    [5, 3],
  ])
})

test('a claim that fails is told, and the next one comes in its time', async () => {
  const { clock, seen, state, worker } = workerOf({ concurrency: 4 })
  state.due = 2
  state.claim = 'cut off'
  await quiet()
  await clock.advance(POLL_MS)
  assert.deepEqual(seen.errors, ['claim: cut off'])
  state.claim = 'works'
  await clock.advance(POLL_MS)
  assert.deepEqual([seen.errors.length, worker.running()], [1, 2])
})

test('a job that throws is told, and no place is lost with it', async () => {
  const { seen, worker, due, end } = workerOf({ concurrency: 2 })
  await due(2)
  await end(2, new Error('a bug'))
  assert.deepEqual(seen.errors, ['handle: a bug', 'handle: a bug'])
  assert.equal(worker.running(), 0)
  await due(2)
  assert.deepEqual([worker.running(), seen.signals.length], [2, 4])
})

test('while the database takes no results, no job is claimed', async () => {
  const { clock, seen, state, settler, worker, due, end } = workerOf({ concurrency: 4 })
  state.settle = () => {
    throw new Unavailable('away')
  }
  await due(4)
  await end(4)
  assert.equal(settler.away(), true)
  const before = seen.claims.length
  await due(4)
  await clock.advance(POLL_MS)
  assert.deepEqual([seen.claims.length, worker.running()], [before, 0])
  state.settle = () => []
  await clock.advance(RETRY_MS)
  await clock.advance(POLL_MS)
  assert.equal(worker.running(), 4)
})

test('while twice as many results wait as may run, no job is claimed', async () => {
  const { clock, seen, state, worker, due, end } = workerOf({ concurrency: 4 })
  let written = (): void => undefined
  const lasting = new Promise<readonly number[]>((resolve) => (written = () => resolve([])))
  state.settle = () => lasting
  await due(100)
  await end(4)
  assert.equal(worker.running(), 4)
  await end(4)
  assert.equal(worker.running(), 0)
  const before = seen.claims.length
  worker.wake()
  await quiet()
  assert.equal(seen.claims.length, before)
  written()
  await quiet()
  // It goes on as soon as they are written, not with the next poll.
  assert.equal(worker.running(), 4)
  assert.equal(clock.elapsedMs(), 0)
})

test('results that wait for locks take nobody’s place, until there are very many', async () => {
  const { seen, state, settler, worker, due, end } = workerOf({
    concurrency: 5_000,
    batchMax: 20_000,
  })
  state.settle = (done) => done
  await due(9_999)
  await end(5_000)
  await end(4_999)
  assert.deepEqual([settler.aside(), worker.running()], [9_999, 0])
  await due(1)
  assert.equal(worker.running(), 1)
  await end(1)
  const before = seen.claims.length
  await due(1)
  assert.deepEqual([settler.aside(), seen.claims.length, worker.running()], [10_000, before, 0])
})

test('a worker that stops claims nothing more, lets its jobs end and writes what they came to', async () => {
  const { seen, state, worker, due, end } = workerOf({ concurrency: 4 })
  const written: number[] = []
  state.settle = (done) => {
    written.push(...done)
    return []
  }
  await due(6)
  const before = seen.claims.length
  let stopped = false
  const stopping = worker.stop().then(() => (stopped = true))
  await quiet()
  assert.deepEqual(
    [seen.signals.map(({ aborted }) => aborted), stopped],
    [[true, true, true, true], false],
  )
  await end(3)
  assert.equal(stopped, false)
  await end(1)
  await stopping
  assert.deepEqual([written, seen.claims.length, state.due], [[1, 2, 3, 4], before, 2])
})

test('a worker that stops tries its last results for as long as it may, and not longer', async () => {
  const { clock, seen, state, worker, due, end } = workerOf({ concurrency: 4 })
  state.settle = () => {
    throw new Unavailable('away')
  }
  await due(1)
  await end(1)
  let stopped = false
  void worker.stop().then(() => (stopped = true))
  await quiet()
  for (let ms = RETRY_MS; ms < STOP_MS_MAX; ms += RETRY_MS) await clock.advance(RETRY_MS)
  assert.deepEqual([seen.givenUp, stopped], [0, false])
  await clock.advance(RETRY_MS)
  assert.deepEqual([seen.givenUp, stopped], [1, true])
})

test('a worker that stops waits for results that wait for locks, whatever else has ended', async () => {
  const { clock, state, worker, due, end } = workerOf({ concurrency: 4 })
  state.settle = (done) => done
  await due(1)
  await end(1)
  let stopped = false
  void worker.stop().then(() => (stopped = true))
  await quiet()
  assert.equal(stopped, false)
  state.settle = () => []
  await clock.advance(RETRY_MS)
  assert.equal(stopped, true)
})

test('a worker that stops waits for what others gave its settler to write', async () => {
  const { state, settler, worker } = workerOf({ concurrency: 4 })
  let written = (): void => undefined
  state.settle = () => new Promise((resolve) => (written = () => resolve([])))
  void settler.submit(7)
  let stopped = false
  void worker.stop().then(() => (stopped = true))
  await quiet()
  assert.equal(stopped, false)
  written()
  await quiet()
  assert.equal(stopped, true)
})

test('a worker without jobs stops at once', async () => {
  const { worker, clock } = workerOf({ concurrency: 4 })
  await quiet()
  await worker.stop()
  assert.deepEqual(clock.waits(), [])
})
