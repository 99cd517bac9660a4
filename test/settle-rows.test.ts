import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claim, type Settlement } from '../src/charging/charge.ts'
import { settle } from '../src/charging/settle.ts'
import type { Decision } from '../src/domain/charge-decision.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { refused, shifted, silent, timeout } from './retry-kit.ts'

type Calls = Settlement['calls']

const call = { sent: true, httpStatus: 200, startedMs: 0, tookMs: 0 }
const SENT: Calls = [{ ...call, kind: 'charge', outcome: timeout }]
const UNSENT: Calls = [{ ...call, kind: 'charge', outcome: refused, sent: false }]
const ASKED: Calls = [{ ...call, kind: 'lookup', outcome: silent, doubtAgeMs: 0 }]

/** How the postings of a payment end. */
type End = 'open' | 'settled' | 'released'

/** A decision, its calls, and what they leave: payment, task, postings, letters, evidence. */
type Row = readonly [Decision, Calls, string, string, End, string, number]

const later = { delayMs: 900, reason: 'r', doubt: false }

/** Decisions about new payments. */
const NEW: readonly Row[] = [
  [
    { step: 'succeed', gatewayRef: 'gw', twice: false },
    SENT,
    'success 1 gw ended',
    '-',
    'settled',
    '-',
    1,
  ],
  [
    { step: 'succeed', gatewayRef: null, twice: true },
    SENT,
    'success 1 ended',
    '-',
    'settled',
    'unknown maybe_charged_twice 1 10000 200 open',
    1,
  ],
  [
    { step: 'fail', reason: 'r' },
    SENT,
    'failed 1 r ended',
    '-',
    'released',
    'failed r 1 10000 200 open',
    1,
  ],
  [
    { step: 'fail', reason: 'r' },
    UNSENT,
    'failed 0 r ended',
    '-',
    'released',
    'failed r 0 10000 200 open',
    1,
  ],
  [
    { ...later, step: 'retry' },
    SENT,
    'new 0',
    'due in 900 sent 1 tries 1 tried lookups 0 pendings 0 unsent r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'retry' },
    UNSENT,
    'new 0',
    'due in 900 sent 0 tries 1 tried lookups 0 pendings 0 unsent r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'retry', free: true },
    SENT,
    'new 0',
    'due in 900 sent 1 tries 0 lookups 0 pendings 0 unsent r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'retry', doubt: true },
    SENT,
    'new 0',
    'due in 900 sent 1 tries 1 tried lookups 0 pendings 0 doubted r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'retry' },
    ASKED,
    'new 0',
    'due in 900 sent 0 tries 1 tried lookups 0 pendings 0 unsent r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'wait' },
    SENT,
    'new 0',
    'due in 900 sent 1 tries 0 lookups 0 pendings 0 unsent refused r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'pending', doubt: true },
    SENT,
    'new 0',
    'due in 900 sent 1 tries 0 lookups 0 pendings 1 doubted r',
    'open',
    '-',
    1,
  ],
  [
    { ...later, step: 'doubt', doubt: true },
    SENT,
    'unknown 1 r',
    'due in 900 sent 1 tries 0 lookups 1 pendings 0 doubted r',
    'open',
    'unknown r 1 10000 200 open',
    1,
  ],
  [
    { ...later, step: 'doubt', doubt: true, delayMs: null },
    SENT,
    'unknown 1 r',
    '-',
    'open',
    'unknown r 1 10000 200 open',
    1,
  ],
  [
    { step: 'leave', delayMs: 900 },
    [],
    'new 0',
    'due in 900 sent 0 tries 0 lookups 0 pendings 0 unsent',
    'open',
    '-',
    0,
  ],
  [
    { step: 'release' },
    [],
    'new 0',
    'due in 0 sent 0 tries 0 lookups 0 pendings 0 unsent',
    'open',
    '-',
    0,
  ],
]

/** Decisions about payments that are unknown. */
const UNKNOWN: readonly Row[] = [
  [
    { step: 'succeed', gatewayRef: 'gw', twice: false },
    ASKED,
    'success 1 gw ended',
    '-',
    'settled',
    'unknown r 1 10000 200 resolved gateway success',
    2,
  ],
  [
    { step: 'fail', reason: 'r2' },
    ASKED,
    'failed 1 r2 ended',
    '-',
    'released',
    'unknown r 1 10000 200 resolved gateway failed, failed r2 1 10000 200 open',
    2,
  ],
  [
    { ...later, step: 'doubt', reason: 'r2' },
    ASKED,
    'unknown 1 r',
    'due in 900 sent 1 tries 0 lookups 2 pendings 0 doubted r2',
    'open',
    'unknown r 1 10000 200 open',
    2,
  ],
  [
    { ...later, step: 'doubt', delayMs: null },
    ASKED,
    'unknown 1 r',
    '-',
    'open',
    'unknown r 1 10000 200 open',
    2,
  ],
  [
    { step: 'leave', delayMs: 900 },
    ASKED,
    'unknown 1 r',
    'due in 900 sent 1 tries 0 lookups 1 pendings 0 doubted r',
    'open',
    'unknown r 1 10000 200 open',
    1,
  ],
]

const HOLD = 'hold -10200 10200 0 0'

/** Postings of 100.00 and their commission: user, held, gateway, fees. */
const POSTINGS = {
  deposit: { open: '-', settled: 'settle 9800 0 -10000 200', released: '-' },
  withdraw: {
    open: HOLD,
    settled: `${HOLD}, settle 0 -10200 10000 200`,
    released: `${HOLD}, release 10200 -10200 0 0`,
  },
}

async function accepted(world: TestWorld, type: 'deposit' | 'withdraw', count: number) {
  const userId = await world.user(type === 'withdraw' ? 10_200n * BigInt(count) : 0n)
  const draft = { type, userId, amount: 10_000n, idempotencyKey: null } as const
  await world.accept(Array.from({ length: count }, () => draft))
}

/** Everything that is kept of each payment, in words. */
async function kept(world: TestWorld): Promise<string[]> {
  const nowMs = world.clock.now().getTime()
  const rows = await world.sql<Record<string, string | null>>(
    `select p.id, concat_ws(' ', p.status, p.attempts, p.last_error, p.gateway_ref,
         case when p.finished_at is not null then 'ended' end) as payment,
       (select concat_ws(' ',
          'due in', round(extract(epoch from t.run_at) * 1000 - $1),
          case when t.leased then 'leased' end, 'sent', t.attempts, 'tries', t.tries,
          case when t.tried_at is not null then 'tried' end, 'lookups', t.lookups,
          'pendings', t.pendings, case when t.doubt_at is not null then 'doubted' end,
          case when t.first_sent_at is null then 'unsent' end,
          case when t.misconfigured_at is not null then 'refused' end, t.last_error)
        from payment_tasks t where t.payment_id = p.id) as task,
       (select string_agg(concat_ws(' ', kind, user_available, user_held, gateway, fees), ', '
          order by kind) from postings o where o.payment_id = p.id) as postings,
       (select string_agg(concat_ws(' ', class, error, attempts, amount, commission, state,
            closed_by, closed_reason), ', ' order by l.id)
        from dead_letters l where l.payment_id = p.id) as letters,
       (select count(*) from payment_attempts a where a.payment_id = p.id and not late) as calls
     from payments p order by p.id`,
    [nowMs],
  )
  return rows.map(({ payment, task, postings, letters, calls }) =>
    [payment, task, postings, letters, `${calls} calls`].map((part) => part ?? '-').join(' | '),
  )
}

function expected(type: 'deposit' | 'withdraw', rows: readonly Row[]): string[] {
  return rows.map(([, , payment, task, end, letters, calls]) =>
    [payment, task, POSTINGS[type][end], letters, `${calls} calls`].join(' | '),
  )
}

/** What is counted of payments: successes, failures, unknown, tries, letters. */
async function counted(world: TestWorld): Promise<string | undefined> {
  const [row] = await world.sql<{ counts: string }>(
    `select concat_ws(' ', sum(succeeded), sum(failed), sum(in_doubt), sum(retried), sum(letters))
       as counts from payment_counts`,
  )
  return row?.counts
}

/** Claim all that is due, and what these decisions make of it. */
async function settlements(
  world: TestWorld,
  decisions: readonly (readonly [Decision, Calls, ...unknown[]])[],
): Promise<Settlement[]> {
  const claims = await claim(world.world, 1_000)
  const ordered = claims.toSorted((one, two) => Number(one.payment.id - two.payment.id))
  return ordered.map((own, at) => {
    const [decision, calls] = decisions[at % decisions.length] ?? []
    assert.ok(decision && calls)
    return { claim: own, decision, calls }
  })
}

const DOUBT = { ...later, step: 'doubt', doubt: true } as const

for (const type of ['deposit', 'withdraw'] as const) {
  test(`a decision about a new ${type} is written as it is meant, beside all others`, async (t) => {
    const world = await testWorld(t)
    await accepted(world, type, NEW.length)
    const made = await settlements(world, NEW)
    const settled = await settle(world.world, made)
    assert.deepEqual([settled.stale, settled.busy, settled.failed], [0, [], []])
    assert.deepEqual(await kept(world), expected(type, NEW))
    assert.equal(await counted(world), '2 2 2 4 5')
    // Written once: what has ended or goes on is nobody's any more.
    const again = await settle(world.world, made)
    assert.deepEqual([again.stale, again.settlements], [NEW.length, []])
    assert.deepEqual(await kept(world), expected(type, NEW))
    assert.equal(await counted(world), '2 2 2 4 5')
  })

  test(`a decision about an unknown ${type} ends its letter or leaves it`, async (t) => {
    const world = await testWorld(t)
    await accepted(world, type, UNKNOWN.length)
    await settle(world.world, await settlements(world, [[DOUBT, SENT]]))
    world.clock.advance(900)
    await settle(world.world, await settlements(world, UNKNOWN))
    assert.deepEqual(await kept(world), expected(type, UNKNOWN))
    assert.equal(await counted(world), '1 1 5 0 6')
  })
}

test('every call is kept with its number, its words and its time, and a late one as late', async (t) => {
  const world = await testWorld(t)
  await accepted(world, 'deposit', 2)
  const absent = { kind: 'not_found' } as const
  const calls: Calls = [
    { ...call, kind: 'lookup', outcome: absent, doubtAgeMs: 0, startedMs: 100.4, tookMs: 10 },
    { ...call, kind: 'charge', outcome: shifted, httpStatus: 429, startedMs: 300, tookMs: 20 },
    { ...call, kind: 'lookup', outcome: silent, doubtAgeMs: 0, startedMs: 1_500, tookMs: 0 },
  ]
  const made = await settlements(world, [[{ ...later, step: 'retry' }, calls]])
  world.clock.advance(1_000)
  const [own, other] = made
  assert.ok(own && other)
  const lost = { ...other.claim, task: { ...other.claim.task, fence: other.claim.task.fence - 1 } }
  await settle(world.world, [own, { ...other, claim: lost }])
  const nowMs = world.clock.now().getTime()
  const rows = await world.sql<Record<string, unknown>>(
    `select fence, call, kind, outcome, reason, sent, http_status, took_ms, late,
       round(extract(epoch from started_at) * 1000 - $1)::int as at
     from payment_attempts order by payment_id, call`,
    [nowMs],
  )
  const one = { fence: 1, sent: true, late: false }
  const three = [
    { call: 1, kind: 'lookup', outcome: 'not_found', reason: null, http_status: 200, took_ms: 10 },
    {
      call: 2,
      kind: 'charge',
      outcome: 'in_doubt',
      reason: 'http_429',
      http_status: 429,
      took_ms: 20,
    },
    // It began later than now: clocks of processes are read one after the other.
    {
      call: 3,
      kind: 'lookup',
      outcome: 'no_answer',
      reason: 'http_500',
      http_status: 200,
      took_ms: 0,
    },
  ].map((row, at) => ({ ...one, ...row, at: [-900, -700, 0][at] }))
  assert.deepEqual(rows, [...three, ...three.map((row) => ({ ...row, fence: 0, late: true }))])
})

test('a yes of a claim is kept as it came, although another call has said yes before', async (t) => {
  const world = await testWorld(t)
  await accepted(world, 'deposit', 3)
  const made = await settlements(world, [
    [{ step: 'succeed', gatewayRef: 'own', twice: false }, SENT],
    [{ ...later, step: 'retry' }, SENT],
    [{ step: 'fail', reason: 'r' }, SENT],
  ])
  await world.sql(
    `insert into payment_attempts
       (shard, payment_id, fence, call, kind, outcome, sent, started_at, took_ms, late)
     select shard, payment_id, 0, 1, 'charge', 'success', true, now(), 0, true from payment_tasks`,
  )
  await settle(world.world, made)
  const rows = await world.sql(
    'select status, gateway_ref as ref, last_error as error from payments order by id',
  )
  assert.deepEqual(rows, [
    { status: 'success', ref: 'own', error: null },
    // What goes on finds it out by asking.
    { status: 'new', ref: null, error: null },
    { status: 'success', ref: null, error: null },
  ])
})

test('what is stale is counted over all shards', async (t) => {
  const world = await testWorld(t, { shards: 2 })
  await accepted(world, 'deposit', 2)
  await accepted(world, 'deposit', 1)
  const made = await settlements(world, [[{ step: 'fail', reason: 'r' }, SENT]])
  assert.equal(new Set(made.map(({ claim: own }) => world.db.of(own.payment.id).number)).size, 2)
  assert.equal((await settle(world.world, made)).stale, 0)
  assert.equal((await settle(world.world, made)).stale, 3)
})
