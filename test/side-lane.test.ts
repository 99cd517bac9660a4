import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BUSY, type Answer, type PaymentDraft } from '../src/domain/acceptance.ts'
import { Overloaded } from '../src/ports.ts'
import { acceptingInShard } from '../src/payments/accepting.ts'
import { sideLane } from '../src/payments/side-lane.ts'
import { deposit, withdraw } from './locks-kit.ts'
import { quiet, waitingClock } from './waiting-clock.ts'

const WAIT_MS = 3_000
const IN_LINE_MS = 100
const REMEMBERED_MS = 60_000

/** An accepted draft, recognizable by its key. */
function yes(draft: PaymentDraft): Answer {
  const { userId, type, amount, idempotencyKey } = draft
  const payment = { id: 1n, userId, type, amount, idempotencyKey, commission: 0n }
  return {
    kind: 'accepted',
    payment: { ...payment, refusedFor: null, currency: null, gateway: 'http' },
    exponent: 2,
    replayed: false,
  }
}

function keyOf(answer: Answer): string {
  return answer.kind === 'accepted' ? (answer.payment.idempotencyKey ?? '') : answer.refusal.code
}

/** Drafts by user and key, `2b`. */
const draft = (name: string): PaymentDraft => withdraw(BigInt(name.slice(0, -1)), name)
const nameOf = ({ idempotencyKey }: PaymentDraft): string => idempotencyKey ?? ''

/** What was asked of a database that answers when it is told to. */
interface Asked {
  readonly names: string
  readonly lockMs: number | undefined
  readonly answer: (busy: readonly bigint[] | Error) => Promise<void>
}

function laneOf(limits: { waitingMax?: number; sizeMax?: number } = {}) {
  const clock = waitingClock()
  const asked: Asked[] = []
  const answers: string[] = []
  const lane = sideLane({
    accept: (drafts, lockMs) =>
      new Promise((resolve, reject) => {
        asked.push({
          names: drafts.map(nameOf).join(' '),
          lockMs,
          async answer(busy) {
            if (busy instanceof Error) reject(busy)
            else resolve(drafts.map((each) => (busy.includes(each.userId) ? BUSY : yes(each))))
            await quiet()
          },
        })
      }),
    clock,
    waitMsMax: WAIT_MS,
    waitingMax: 100,
    sizeMax: 100,
    ...limits,
  })
  return {
    clock,
    lane,
    answers,
    async add(...names: string[]) {
      for (const name of names) {
        lane.add(draft(name)).then(
          (answer) => answers.push(`${name}: ${keyOf(answer)}`),
          (error: Error) => answers.push(`${name}: ${error.message}`),
        )
      }
      await quiet()
    },
    /** What is asked now, and the answer to it. */
    async next(busy: readonly bigint[] | Error): Promise<string> {
      const one = asked.shift()
      assert.ok(one !== undefined, 'something is asked')
      await one.answer(busy)
      return `${one.names} (${one.lockMs})`
    },
    open: () => asked.length,
  }
}

test('it stands in line for one user, and takes of the others what can be had at once', async () => {
  const { lane, add, next, answers, open } = laneOf()
  await add('1a', '2a', '1b', '3a')
  assert.equal(open(), 1, 'one connection at most')
  assert.equal(await next([1n]), `1a (${IN_LINE_MS})`)
  // Who has just come is first, and then whose turn is the longest ago.
  assert.equal(await next([]), `2a (${IN_LINE_MS})`)
  assert.equal(await next([1n, 3n]), '3a 1a 1b (0)')
  assert.deepEqual(answers, ['2a: 2a'])
  await add('4a')
  assert.equal(await next([3n]), `3a (${IN_LINE_MS})`)
  assert.equal(await next([1n]), '1a 1b (0)')
  assert.equal(await next([]), `4a (${IN_LINE_MS})`)
  assert.equal(await next([1n]), '1a 1b 3a (0)')
  assert.equal(await next([]), `1a 1b (${IN_LINE_MS})`)
  assert.deepEqual(answers.slice(1), ['4a: 4a', '3a: 3a', '1a: 1a', '1b: 1b'])
  assert.equal(open(), 0)
  assert.deepEqual([lane.has(1n), lane.has(2n)], [false, false])
})

test('a user belongs here while its drafts wait, and for a minute after they waited to the end', async () => {
  const { clock, lane, add, next, answers } = laneOf()
  await add('1a')
  assert.equal(lane.has(1n), true)
  await next([1n])
  await clock.advance(WAIT_MS - 1)
  await next([1n])
  assert.deepEqual(answers, [])
  await clock.advance(1)
  await next([1n])
  assert.deepEqual(answers, ['1a: busy'])
  await clock.advance(REMEMBERED_MS - 1)
  assert.equal(lane.has(1n), true)
  await clock.advance(1)
  assert.equal(lane.has(1n), false)
})

test('a user who is accepted again is not remembered any more', async () => {
  const { clock, lane, add, next, answers } = laneOf()
  await add('1a')
  await clock.advance(WAIT_MS)
  await next([1n])
  assert.deepEqual([answers, lane.has(1n)], [['1a: busy'], true])
  await add('1b')
  await next([])
  assert.deepEqual([answers.at(-1), lane.has(1n)], ['1b: 1b', false])
})

test('of a user only those are refused whose time is up, and nobody untried', async () => {
  const { clock, add, next, answers, open } = laneOf()
  await add('1a')
  await clock.advance(WAIT_MS / 2)
  await add('1b')
  await clock.advance(WAIT_MS / 2)
  await add('2a')
  await next([1n])
  assert.deepEqual(answers, ['1a: busy'])
  await clock.advance(10 * WAIT_MS)
  // These have waited for longer than they may, and nobody has looked.
  assert.equal(await next([2n]), `2a (${IN_LINE_MS})`)
  assert.deepEqual([answers.length, open()], [1, 1])
  assert.equal(await next([1n]), '1b (0)')
  assert.deepEqual([answers.slice(1).toSorted(), open()], [['1b: busy', '2a: busy'], 0])
})

test('too many are busy at once, and each who leaves makes room', async () => {
  const { lane, add, next, answers } = laneOf({ waitingMax: 2 })
  await add('1a', '1b', '1c', '2a')
  assert.deepEqual(answers, ['1c: busy', '2a: busy'])
  assert.equal(lane.has(2n), false)
  await next([])
  assert.deepEqual(answers.slice(2), ['1a: 1a'])
  await add('1d', '2b')
  assert.deepEqual(answers.slice(3), ['2b: busy'])
})

test('a transaction has at most so many drafts, the first of each user', async () => {
  const { add, next } = laneOf({ sizeMax: 3 })
  await add('1a', '1b', '1c', '1d', '2a', '3a', '3b', '3c')
  assert.equal(await next([1n]), `1a (${IN_LINE_MS})`)
  assert.equal(await next([2n]), `2a (${IN_LINE_MS})`)
  assert.equal(await next([3n]), '3a 3b 3c (0)')
  assert.equal(await next([]), `3a 3b 3c (${IN_LINE_MS})`)
  assert.equal(await next([]), '1a 1b 1c (0)')
  assert.equal(await next([]), `1d (${IN_LINE_MS})`)
  assert.equal(await next([]), '2a (0)')
})

test('drafts that fail are told so, and nobody else is', async () => {
  const { lane, add, next, answers } = laneOf()
  await add('1a', '2a', '1b')
  await next(new Error('cut off'))
  assert.deepEqual(answers, ['1a: cut off'])
  assert.equal(lane.has(1n), true)
  await next([])
  await next([])
  assert.deepEqual(answers.slice(1), ['2a: 2a', '1b: 1b'])
})

test('it is idle when nobody waits', async () => {
  const { lane, add, next } = laneOf()
  await lane.idle()
  await add('1a', '2a')
  let idle = false
  void lane.idle().then(() => (idle = true))
  await next([])
  assert.equal(idle, false)
  await next([])
  assert.equal(idle, true)
  await add('3a')
  await next([])
  await lane.idle()
})

/** Accepting with a database that answers when it is told to, in batches and aside. */
function acceptingOf(limits: Partial<Parameters<typeof acceptingInShard>[2]> = {}) {
  const clock = waitingClock()
  type Batch = Asked & {
    next(): void
    busy(...ids: bigint[]): void
    end(...ids: bigint[]): Promise<void>
  }
  const batches: Batch[] = []
  const aside: Asked[] = []
  const answers: string[] = []
  const accepts = acceptingInShard(
    (drafts, onDecided, patience) =>
      new Promise((resolve, reject) => {
        const answer = async (busy: readonly bigint[] | Error) => {
          if (busy instanceof Error) reject(busy)
          else resolve(drafts.map((each) => (busy.includes(each.userId) ? BUSY : yes(each))))
          await quiet()
        }
        const one = { names: drafts.map(nameOf).join(' '), lockMs: patience?.lockMs, answer }
        if (onDecided === undefined) return void aside.push(one)
        batches.push({
          ...one,
          next: onDecided,
          busy: (...ids) => patience?.onBusy?.(new Set(ids)),
          end: (...ids) => answer(ids),
        })
      }),
    clock,
    { sizeMax: 10, waitingMax: 100, sideBySide: 1, lockMsMax: WAIT_MS, ...limits },
  )
  return {
    accepts,
    clock,
    batches,
    aside,
    answers,
    async submit(...drafts: (string | PaymentDraft)[]) {
      for (const each of drafts) {
        const own = typeof each === 'string' ? draft(each) : each
        accepts.submit(own).then(
          (answer) => answers.push(`${nameOf(own)}: ${keyOf(answer)}`),
          (error: Error) => answers.push(`${nameOf(own)}: ${error.message}`),
        )
      }
      await quiet()
    },
  }
}

test('a batch waits for locks four times as long as batches take, within its limits', async () => {
  const { clock, batches, submit } = acceptingOf()
  const waits: (number | undefined)[] = []
  const batch = async (tookMs: number, how?: 'busy' | 'fails') => {
    await submit('1a')
    const [one] = batches.splice(0)
    waits.push(one?.lockMs)
    await clock.advance(tookMs)
    if (how === 'busy') one?.busy(9n)
    await one?.answer(how === 'fails' ? new Error('cut off') : [])
  }
  for (const tookMs of [80, 400, 0, 8_000]) await batch(tookMs)
  // The average of the last eight or so: 10, 58.75, 51.4, 1,045.
  await batch(100_000, 'busy')
  await batch(100_000, 'fails')
  for (let count = 0; count < 20; count += 1) await batch(0)
  await batch(0)
  assert.deepEqual(waits.slice(0, 7), [100, 100, 235, 205.625, 1_000, 1_000, 1_000])
  assert.equal(Math.round(waits.at(-1) ?? 0), 289)
})

test('whoever is found locked leaves the batch, and comes in front of the later ones of its user', async () => {
  const { accepts, batches, aside, answers, submit } = acceptingOf()
  await submit('1a', '2a', deposit(1n, null), '1b')
  const [first] = batches.splice(0)
  assert.equal(first?.names, '1a 2a  1b')
  await submit('1c', '3a', '4a', '5a')
  first?.busy(1n)
  // Told once more when the transaction is repeated: nobody waits twice.
  first?.busy(1n)
  first?.next()
  await quiet()
  // The next batch does not even ask for the user who is locked.
  const [second] = batches.splice(0)
  assert.equal(second?.names, '3a 4a 5a')
  await first?.answer([1n])
  assert.deepEqual(answers, ['2a: 2a'])
  await submit('1d')
  assert.deepEqual(batches, [], 'nobody but the locked user has come')
  let idle = false
  void accepts.idle().then(() => (idle = true))
  await second?.end()
  assert.deepEqual([answers.slice(1), idle], [['3a: 3a', '4a: 4a', '5a: 5a'], false])
  assert.equal(aside.length, 1)
  await aside.shift()?.answer([])
  assert.equal(idle, false)
  await aside.shift()?.answer([])
  assert.deepEqual(answers.slice(4), ['1a: 1a', ': ', '1b: 1b', '1c: 1c', '1d: 1d'])
  assert.equal(idle, true)
})

test('a batch that fails answers its own drafts, and none of those that wait aside', async () => {
  const { batches, aside, answers, submit } = acceptingOf()
  await submit('1a', '2a', '3a')
  const [first] = batches.splice(0)
  first?.busy(2n)
  await first?.answer(new Error('cut off'))
  assert.deepEqual(answers, ['1a: cut off', '3a: cut off'])
  await aside.shift()?.answer([])
  assert.deepEqual(answers.slice(2), ['2a: 2a'])
  await submit('2b')
  assert.equal(batches[0]?.names, '2b')
})

test('what fails aside before its batch has ended is told when that ends', async () => {
  const { batches, aside, answers, submit } = acceptingOf()
  await submit('1a', '2a')
  const [first] = batches.splice(0)
  first?.busy(2n)
  await quiet()
  await aside.shift()?.answer(new Error('cut off'))
  assert.deepEqual(answers, [])
  await first?.end(2n)
  assert.deepEqual(answers.toSorted(), ['1a: 1a', '2a: cut off'])
})

test('no two batches hold the same user, and what locks nobody is in any batch', async () => {
  const { batches, submit } = acceptingOf()
  await submit('1a', deposit(1n))
  batches[0]?.next()
  await submit('1b', '2a', deposit(1n, null), { ...deposit(1n, '1c') })
  assert.deepEqual(
    batches.map(({ names }) => names),
    ['1a ', '2a '],
  )
  await batches[0]?.end()
  batches[1]?.next()
  await quiet()
  assert.equal(batches[2]?.names, '1b 1c')
})

test('accepting is idle when no batch runs, and when nobody waits aside', async () => {
  const { accepts, batches, submit } = acceptingOf()
  await accepts.idle()
  await submit('1a')
  let idle = false
  void accepts.idle().then(() => (idle = true))
  await quiet()
  assert.equal(idle, false)
  await batches[0]?.end()
  assert.equal(idle, true)
})

test('more than may wait are refused at once', async () => {
  const { answers, submit } = acceptingOf({ waitingMax: 2 })
  await submit('1a', '2a', '3a')
  assert.deepEqual(answers, [`3a: ${new Overloaded().message}`])
})
