import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Busy, CommitUnknown, Unavailable } from '../src/ports.ts'
import { openSettler } from '../src/queue/settler.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

/** What a settlement of these results comes to; by default all are written. */
type Attempt = (done: readonly string[]) => readonly string[]

const AWAY: Attempt = () => {
  throw new Unavailable('away')
}
/** Results that begin with an x cannot be written, for a reason of their own. */
const FAULTY: Attempt = (done) => {
  if (done.some((item) => item.startsWith('x'))) throw new Error('faulty')
  return []
}
const LOCKED: Attempt = (done) => done.filter((item) => item.startsWith('l'))
const BUSY = new Busy('locked').message
const RETRY_MS = 200
const FAULTY_MS_MAX = 1_000

/** A settler whose results are known by their last letter, and all that it does. */
function settlerOf(batchMax = 100) {
  const clock = waitingClock()
  const seen = {
    attempts: [] as string[],
    errors: [] as string[],
    givenUp: [] as string[],
    written: [] as string[],
  }
  const script = { attempt: (() => []) as Attempt, hung: null as Promise<void> | null }
  const settler = openSettler<string>({
    async settle(done, patient) {
      seen.attempts.push(`${done.join(' ')}${patient ? '' : ' (at once)'}`)
      await script.hung
      return script.attempt(done)
    },
    clock,
    batchMax,
    keyOf: (item) => item.at(-1),
    partOf: (item) => item.at(-2),
    faultyMsMax: FAULTY_MS_MAX,
    onError: (error) => seen.errors.push((error as Error).message),
    onGivenUp: (done, error) =>
      seen.givenUp.push(`${done.join(' ')}: ${(error as Error | undefined)?.message}`),
  })
  const submit = async (...items: string[]): Promise<void> => {
    for (const item of items) void settler.submit(item).then(() => seen.written.push(item))
    await quiet()
  }
  return { clock, seen, script, settler, submit }
}

test('results that come together are written together, in order, and then everyone is told', async () => {
  const { seen, submit, settler } = settlerOf(3)
  await submit('a', 'b', 'c', 'd')
  assert.deepEqual(seen.attempts, ['a b c', 'd'])
  assert.deepEqual(seen.written, ['a', 'b', 'c', 'd'])
  assert.deepEqual([settler.away(), settler.aside(), seen.errors], [false, 0, []])
})

for (const [name, lost] of [
  ['is away', AWAY],
  [
    'does not say whether it committed',
    () => {
      throw new CommitUnknown('away')
    },
  ],
] as readonly (readonly [string, Attempt])[]) {
  test(`while the database ${name}, the same results are tried again in time, and told once`, async () => {
    const { clock, seen, script, settler, submit } = settlerOf()
    script.attempt = lost
    await submit('a', 'b')
    await submit('c')
    assert.deepEqual(clock.waits(), [RETRY_MS])
    assert.equal(settler.away(), true)
    await clock.advance(RETRY_MS - 1)
    assert.deepEqual(seen.attempts, ['a b'])
    await clock.advance(1)
    assert.deepEqual(seen.attempts, ['a b', 'a b'])
    assert.deepEqual([seen.written, seen.errors], [[], ['away']])

    script.attempt = () => []
    await clock.advance(RETRY_MS)
    assert.equal(settler.away(), false)
    assert.deepEqual(seen.attempts, ['a b', 'a b', 'a b', 'c'])
    assert.deepEqual(seen.written, ['a', 'b', 'c'])

    script.attempt = lost
    await submit('d')
    assert.deepEqual([settler.away(), seen.errors], [true, ['away', 'away']])
    assert.deepEqual([seen.givenUp, settler.aside()], [[], 0])
  })
}

test('what somebody else’s lock keeps back waits by itself, and its neighbours do not', async () => {
  const { clock, seen, script, settler, submit } = settlerOf()
  script.attempt = LOCKED
  await submit('a', 'l1', 'b', 'l2')
  assert.deepEqual(seen.written, ['a', 'b'])
  assert.equal(settler.aside(), 2)
  assert.deepEqual(
    ['a', '1', '2', 'l1'].map((key) => settler.waitsFor(key)),
    [false, true, true, false],
  )
  // Told with the first of them, and never as if the database were away.
  assert.deepEqual([seen.errors, settler.away()], [[BUSY], false])

  // Later results are not held up by them.
  await submit('c')
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.attempts, ['a l1 b l2', 'c', 'l1 l2 (at once)'])
  script.attempt = (done) => done.filter((item) => item === 'l2')
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.written, ['a', 'b', 'c', 'l1'])
  assert.deepEqual(
    [settler.aside(), settler.waitsFor('1'), settler.waitsFor('2')],
    [1, false, true],
  )
  await submit('l1')
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.deepEqual([settler.aside(), settler.waitsFor('2')], [0, false])

  // Nobody is left who would look again; the next one is told of, and tried again as well.
  assert.deepEqual([clock.waits(), seen.errors], [[], [BUSY]])
  script.attempt = LOCKED
  await submit('l3')
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.deepEqual([seen.written.at(-1), seen.errors], ['l3', [BUSY, BUSY]])
  assert.deepEqual(seen.givenUp, [])
})

test('a key is waited for until the last of its results is written', async () => {
  const { clock, script, settler, submit } = settlerOf()
  script.attempt = LOCKED
  await submit('l-1', 'la1')
  script.attempt = (done) => done.filter((item) => item === 'la1')
  await clock.advance(RETRY_MS)
  assert.deepEqual([settler.aside(), settler.waitsFor('1')], [1, true])
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.deepEqual([settler.aside(), settler.waitsFor('1')], [0, false])
})

test('where several loops share a settler, what waits for locks is counted for each of them', async () => {
  const { clock, script, settler, submit } = settlerOf()
  script.attempt = LOCKED
  await submit('lp1', 'lp2', 'lq1', 'p3')
  const counts = () => [settler.aside(), settler.aside('p'), settler.aside('q'), settler.aside('r')]
  assert.deepEqual(counts(), [3, 2, 1, 0])
  script.attempt = (done) => done.filter((item) => item !== 'lp2')
  await clock.advance(RETRY_MS)
  assert.deepEqual(counts(), [2, 1, 1, 0])
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.deepEqual(counts(), [0, 0, 0, 0])
})

test('what waits for locks has its turns in turn, a batch at a time', async () => {
  const { clock, seen, script, submit } = settlerOf(2)
  script.attempt = LOCKED
  await submit('l1', 'l2')
  await submit('l3')
  seen.attempts.length = 0
  for (let turn = 0; turn < 3; turn += 1) await clock.advance(RETRY_MS)
  assert.deepEqual(seen.attempts, ['l1 l2 (at once)', 'l3 l1 (at once)', 'l2 l3 (at once)'])
})

test('a bad result is found among its neighbours, which are written, each once', async () => {
  const { clock, seen, script, settler, submit } = settlerOf()
  script.attempt = FAULTY
  await submit('a', 'b', 'c', 'x', 'e')
  assert.deepEqual(seen.attempts, ['a b c x e', 'a b c', 'x e', 'x', 'e'])
  assert.deepEqual(seen.written, ['a', 'b', 'c', 'e'])
  assert.deepEqual([seen.errors, settler.away(), settler.aside()], [['faulty'], false, 1])
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.deepEqual([seen.written.at(-1), seen.givenUp], ['x', []])
})

test('a result that stays bad is given up in its time, with the reason', async () => {
  const { clock, seen, script, submit } = settlerOf()
  script.attempt = FAULTY
  await submit('x1')
  await submit('x2')
  // Each of them is told of: it is a bug.
  assert.deepEqual(seen.errors, ['faulty', 'faulty'])
  await clock.advance(RETRY_MS)
  // What passes by itself between the faults does not start its time over.
  script.attempt = AWAY
  await clock.advance(RETRY_MS)
  script.attempt = FAULTY
  for (let turn = 0; turn < 3; turn += 1) await clock.advance(RETRY_MS)
  assert.deepEqual([seen.givenUp, seen.written], [[], []])
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.givenUp, ['x1: faulty', 'x2: faulty'])
  assert.deepEqual(seen.written, ['x1', 'x2'])
  assert.deepEqual(clock.waits(), [])
})

test('what waits for a lock waits for as long as that takes, and is never taken for bad', async () => {
  const { clock, seen, script, submit } = settlerOf()
  script.attempt = LOCKED
  await submit('l')
  for (let ms = 0; ms <= 2 * FAULTY_MS_MAX; ms += RETRY_MS) await clock.advance(RETRY_MS)
  assert.deepEqual([seen.givenUp, seen.written], [[], []])
})

test('where a database goes away in the middle of a halved batch, what was not written is kept', async () => {
  const { clock, seen, script, submit } = settlerOf()
  script.attempt = (done) => (done.includes('c') && done.length < 4 ? AWAY(done) : FAULTY(done))
  await submit('a', 'x', 'c', 'd')
  assert.deepEqual(seen.attempts, ['a x c d', 'a x', 'a', 'x', 'c d'])
  assert.deepEqual(seen.written, [])
  script.attempt = FAULTY
  await clock.advance(RETRY_MS)
  assert.deepEqual(
    [seen.attempts.slice(5).toSorted(), seen.written],
    [
      ['c d', 'x (at once)'],
      ['a', 'c', 'd'],
    ],
  )
})

test('in a hurry, what the database does not take in time is tried once more and given up', async () => {
  const { clock, seen, script, settler, submit } = settlerOf()
  script.attempt = AWAY
  await submit('a', 'b')
  settler.hurry(300)
  // A longer time that is given later does not hold.
  settler.hurry(9_000)
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.givenUp, [])
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.givenUp, ['a b: away'])
  assert.deepEqual(seen.written, ['a', 'b'])
  await submit('c')
  assert.deepEqual([seen.attempts.at(-1), seen.givenUp.at(-1)], ['c', 'c: away'])
  await settler.idle()
})

test('in a hurry, a shorter time holds as soon as it is given', async () => {
  const { clock, seen, script, settler, submit } = settlerOf()
  script.attempt = AWAY
  settler.hurry(9_000)
  await submit('a')
  settler.hurry(RETRY_MS)
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.givenUp, ['a: away'])
})

test('in a hurry, what waits for locks is given up together and what is bad with its own reason', async () => {
  const { clock, seen, script, settler, submit } = settlerOf()
  script.attempt = (done) => [...LOCKED(done), ...FAULTY(done)]
  await submit('l1', 'l2')
  await submit('x')
  settler.hurry(RETRY_MS + 1)
  let idle = false
  void settler.idle().then(() => (idle = true))
  await clock.advance(RETRY_MS)
  assert.deepEqual([seen.givenUp, idle], [[], false])
  await clock.advance(RETRY_MS)
  assert.deepEqual(seen.givenUp.toSorted(), [`l1 l2: ${BUSY}`, 'x: faulty'])
  assert.deepEqual([idle, settler.aside(), settler.waitsFor('1')], [true, 0, false])
})

test('it is idle when nothing is being written and nothing waits for a lock', async () => {
  const { clock, script, settler, submit } = settlerOf()
  let end = (): void => undefined
  script.hung = new Promise((resolve) => (end = resolve))
  script.attempt = LOCKED
  await submit('a', 'l')
  let idle = false
  void settler.idle().then(() => (idle = true))
  await quiet()
  assert.equal(idle, false)
  end()
  await quiet()
  assert.deepEqual([idle, settler.aside()], [false, 1])
  script.attempt = () => []
  await clock.advance(RETRY_MS)
  assert.equal(idle, true)
})
