import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../../src/adapters/clock.ts'
import type { GatewayCharge } from '../../src/ports.ts'
import { exponentIn } from '../../src/domain/currency.ts'
import { fromWire } from '../../src/domain/money.ts'
import { httpCharges } from '../../src/gateways/http-charges.ts'
import { verify } from '../../src/verify/verify.ts'
import { COUNTED, miscounted, MISCOUNTED_MINUTES } from '../counts.ts'
import { listed } from '../driver-kit.ts'
import { ask, definite, isDefinite, type Answer, type Entry } from './load.ts'
import { gatewaysOf, LEASE_MS, type Stack } from './stack.ts'
import { openBooks } from './spread.ts'

/** One thing that must hold after a scenario, and what was counted. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** What makes it fail and says nothing of the service: a busy machine, or too few faults done. */
  readonly chance?: boolean
}

/** A payment as the database has it. */
interface Row {
  readonly id: number
  readonly userId: number
  readonly type: string
  readonly status: string
  /** In minor units of its currency; null: that of the books. */
  readonly amount: number
  readonly currency: string | null
  readonly key: string | null
  readonly refused: boolean
  /** It failed, and that the gateway had executed it was booked afterwards. */
  readonly corrected: boolean
  /** It came back by itself, or repeats a payment that failed: no client asked for it. */
  readonly unasked: boolean
}

/** How long everything may take to come to rest once the faults are off, in milliseconds. */
const REST_MS_MAX = 120_000
const LOOK_MS = 100
/** Replays of keys on their way at the same time. */
const REPLAYS = 16
/** How often a key without an answer is asked for again before it counts as unresolved. */
const REPLAYS_MAX = 60

/**
 * Ask all witnesses about a scenario that is over. The faults are off and the load has stopped.
 * `slowestMs`: what the slowest look at the database took meanwhile; null: nobody looked, because
 * no worker was there all the time to take up the tasks of others.
 */
export async function testify(
  stack: Stack,
  journal: readonly Entry[],
  options: { readonly slowestMs: number | null },
): Promise<Check[]> {
  const silent = journal.filter((entry) => definite(entry) === undefined)
  await replay(stack, silent, REPLAYS_MAX)
  await untilRest(stack)
  await replay(stack, journal, REPLAYS_MAX)
  // A refund that was refused for now may have been accepted this time.
  const rest = await untilRest(stack)
  const rows = await readPayments(stack)
  const charges = await readCharges(stack)
  return [
    rest,
    ...clientWitness(journal, silent, rows),
    surprises(stack),
    ...(await gatewayWitness(stack, rows, charges)),
    await books(stack),
    await counters(stack),
    deaths(stack),
    ...(options.slowestMs === null ? [] : [await orphans(stack, options.slowestMs)]),
  ]
}

/** Ask for every key once more, until it is answered. */
async function replay({ apis }: Stack, entries: readonly Entry[], triesMax: number): Promise<void> {
  const queue = entries.values()
  const lane = async (): Promise<void> => {
    for (const entry of queue) {
      for (let tries = 0; tries < triesMax; tries += 1) {
        const answer = await ask(apis[tries % apis.length]?.url ?? '', entry)
        if (isDefinite(answer)) break
        await wait(100)
      }
    }
  }
  await Promise.all(Array.from({ length: REPLAYS }, lane))
}

/** Wait until no payment is open but those that the gateway itself has left in doubt. */
async function untilRest(stack: Stack): Promise<Check> {
  const startedMs = performance.now()
  const look = () =>
    stack.query<{ open: number; unknown: number }>(
      `select count(*) filter (where status = 'new')::int as open,
         count(*) filter (where status = 'unknown')::int as unknown from payments`,
    )
  for (;;) {
    const [row = { open: -1, unknown: -1 }] = await look()
    const tookMs = performance.now() - startedMs
    const ok = row.open === 0 && row.unknown === 0
    if (ok || tookMs > REST_MS_MAX) {
      const detail = `${row.open} open, ${row.unknown} unknown after ${(tookMs / 1_000).toFixed(1)} s`
      return { name: 'Everything comes to rest once the faults are off', ok, detail }
    }
    await wait(LOOK_MS)
  }
}

/** Witness 1: what the clients were told. */
function clientWitness(
  journal: readonly Entry[],
  silent: readonly Entry[],
  rows: readonly Row[],
): Check[] {
  const byKey = new Map<string, Row[]>()
  for (const row of rows.filter(({ unasked }) => !unasked)) {
    const key = `${row.userId} ${row.key ?? ''}`
    byKey.set(key, [...(byKey.get(key) ?? []), row])
  }
  const rowsOf = ({ userId, key }: Entry): readonly Row[] => byKey.get(`${userId} ${key}`) ?? []
  const promised = journal.filter((entry) => promise(entry) !== undefined)
  const lost = promised.filter((entry) => !isKept(entry, rowsOf(entry)))
  const changed = journal.filter(({ type, answers }) => {
    const kept = answers.filter(({ status }) => !isForNow(type, status))
    return new Set(kept.flatMap(meaning)).size > 1
  })
  const unresolved = silent.filter((entry) => definite(entry) === undefined)
  const asked = new Set(journal.map(({ userId, key }) => `${userId} ${key}`))
  const uninvited = [...byKey.keys()].filter((key) => !asked.has(key))
  const strange = journal.flatMap(({ type, answers }) =>
    answers.filter(({ status }) => ![0, 202, 402, 503].includes(status) && !isForNow(type, status)),
  )
  return [
    check(
      'Every accepted payment exists exactly once, as it was asked for',
      lost.map(({ key }) => key),
      `${promised.length} accepted`,
    ),
    check(
      'Every answer to a key says the same, byte for byte',
      changed.map(({ key }) => key),
      `${journal.length} keys, ${sum(journal.map(({ answers }) => answers.length))} answers`,
    ),
    check(
      'Every request without an answer is resolved by a replay',
      unresolved.map(({ key }) => key),
      `${silent.length} had none`,
    ),
    check('There is no payment that nobody asked for', uninvited, `${rows.length} payments`),
    check(
      'No answer but 202, 402 and 503',
      strange.map(({ status, text }) => `${status} ${text.slice(0, 60)}`),
      answersByStatus(journal),
    ),
  ]
}

/** The first answer that says that there is a payment from now on. */
function promise({ answers }: Entry): Answer | undefined {
  return answers.find(({ status }) => status === 202)
}

/** What is left of a deposit changes, so a refusal to refund it is not kept under the key. */
function isForNow(type: Entry['type'], status: number): boolean {
  return type === 'refund' && status === 409
}

function isKept(entry: Entry, rows: readonly Row[]): boolean {
  const [row] = rows
  if (rows.length !== 1 || row === undefined || row.refused) return false
  const { payment_id: id } = JSON.parse(promise(entry)?.text ?? '{}') as { payment_id?: number }
  return row.id === id && row.amount === entry.amount && row.type === entry.type
}

/** What a definite answer says. The problem of a refusal names its request: all else must agree. */
function meaning(answer: Answer): string[] {
  // Each answer names its own request; all the rest is the same.
  const text = answer.text.replace(/"instance":"[^"]*",/, '')
  return isDefinite(answer) ? [`${answer.status} ${text}`] : []
}

function answersByStatus(journal: readonly Entry[]): string {
  const counts = new Map<number, number>()
  for (const { answers } of journal) {
    for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  const parts = [...counts].toSorted(([a], [b]) => a - b)
  return parts.map(([status, count]) => `${count} x ${status === 0 ? 'none' : status}`).join(', ')
}

/** Witness 2: what the gateway did, by its own journal. */
async function gatewayWitness(
  stack: Stack,
  rows: readonly Row[],
  charges: readonly GatewayCharge[],
): Promise<Check[]> {
  const audits = await Promise.all(gatewaysOf(stack).map(({ url }) => auditOf(url)))
  const total = (name: keyof Audit) => sum(audits.map((audit) => audit[name]))
  const executed = new Set(charges.map(({ paymentId }) => Number(paymentId)))
  const byId = new Map(rows.map((row) => [row.id, row]))
  const wrong = [
    ...charges
      .filter(({ paymentId, amount }) => {
        const row = byId.get(Number(paymentId))
        const open = row?.status === 'success' || row?.status === 'unknown'
        const minor = fromWire(amount, exponentIn(row?.currency ?? null, 'USD'))
        return !(open || row?.corrected) || BigInt(row?.amount ?? -1) !== minor
      })
      .map(({ paymentId }) => {
        const row = byId.get(Number(paymentId))
        return `charged, and no success: ${paymentId}, ${row?.type} ${row?.status}`
      }),
    ...rows
      .filter(
        ({ id, type, status }) => status === 'success' && type !== 'return' && !executed.has(id),
      )
      .map(({ id }) => `success, and not charged: ${id}`),
  ]
  const twice = total('charged_twice_count') + charges.length - executed.size
  return [
    check(
      'The gateway charged nobody twice',
      twice === 0 ? [] : [`${twice} charged twice`],
      `${total('executed')} charges, ${total('duplicates_refused')} repetitions it refused`,
    ),
    check('What the gateway charged is what succeeded here', wrong, `${executed.size} payments`),
  ]
}

type Audit = Readonly<Record<'executed' | 'charged_twice_count' | 'duplicates_refused', number>>

async function auditOf(url: string): Promise<Audit> {
  return (await (await fetch(`${url}/audit`)).json()) as Audit // The mock gateway's own.
}

/** Witness 3: `payments verify` with all its rules, the comparison with the gateway included. */
async function books(stack: Stack): Promise<Check> {
  const db = openBooks(stack)
  try {
    const world = { db, clock: systemClock }
    const gateways = gatewaysOf(stack).map(({ gateway, url }) => {
      return { gateway, list: httpCharges(url) }
    })
    const report = await verify(world, { gateways })
    const broken = report.rules
      .filter(({ violations }) => violations > 0)
      .map(({ rule, violations }) => `${rule}: ${violations}`)
    return check('The books are right', broken, `${report.rules.length} rules of payments verify`)
  } finally {
    await db.close()
  }
}

/** Witness 4: the counters, as every process shows them, against what the tables hold. */
async function counters({ apis, query }: Stack): Promise<Check> {
  const [counted] = await query<Record<string, string>>(COUNTED)
  const answer = await fetch(`${apis[0]?.url}/api/v1/metrics`)
  // Our own API: what is no number there equals nothing here.
  const shown = (await answer.json()) as Record<string, number>
  const minutes = await query<{ wrong: string }>(MISCOUNTED_MINUTES)
  const totals = counted === undefined ? ['no counts'] : miscounted(counted, shown)
  const wrong = [...totals, ...minutes.map((minute) => `counted by minute: ${minute.wrong}`)]
  const ended = `${shown['payments_success_total']} successes`
  return check('The counters equal the finals exactly', wrong, ended)
}

function deaths({ deaths: all }: Stack): Check {
  const unexpected = all.filter(({ expected }) => !expected)
  return check(
    'No process died that nobody killed',
    unexpected.map(
      ({ name, code, signal, output }) => `${name}: ${signal ?? code} ${output.slice(-300)}`,
    ),
    `${all.length} deaths`,
  )
}

/** Failures that a process was not prepared for are bugs, whatever the client made of them. */
function surprises({ apis, workers }: Stack): Check {
  const all = [...apis, ...workers]
  const lines = all.flatMap((one) => one.surprises.map((line) => `${one.name}: ${line}`))
  return check('No failure that the service was not prepared for', lines, 'none in the logs')
}

/** How much later than the end of its lease an orphaned task may be claimed, in milliseconds. */
const ORPHAN_MS_MAX = 1_000
/** Looks at the database that a worker may need for that, each as slow as the slowest of ours. */
const ORPHAN_LOOKS = 3

/**
 * Recovery of the tasks of dead workers, by the evidence: from the end of the lost lease to the
 * next claim, which is its first call, or, if that claim was lost as well, its lease end less the
 * lease.
 */
async function orphans(stack: Stack, slowestMs: number): Promise<Check> {
  const rows = await stack.query<{ ms: number }>(`
    select extract(epoch from resumed.at - lost.started_at)::float8 * 1000 as ms
    from payment_attempts lost
    cross join lateral (
      select started_at - case when call = 0 then ${LEASE_MS} else 0 end * interval '1 ms' as at
      from payment_attempts later
      where later.shard = lost.shard and later.payment_id = lost.payment_id
        and later.fence > lost.fence
      order by fence, call
      limit 1
    ) resumed
    where lost.call = 0 and lost.reason = 'worker_lost'
    order by ms`)
  const ms = rows.map((row) => row.ms)
  const worst = ms.at(-1) ?? 0
  const p99 = ms[Math.floor(ms.length * 0.99)] ?? 0
  const after = `p99 ${Math.round(p99)} ms, worst ${Math.round(worst)} ms after the lease`
  return {
    name: `Tasks of dead workers are taken up within their lease and ${ORPHAN_MS_MAX / 1_000} s`,
    ok: worst <= ORPHAN_MS_MAX + ORPHAN_LOOKS * slowestMs,
    detail: `${ms.length} orphans; ${after}; the slowest look took ${Math.round(slowestMs)} ms`,
  }
}

async function readPayments(stack: Stack): Promise<Row[]> {
  const rows = await stack.query<Omit<Row, 'id'> & { id: string }>(`
    select payment.id::text as id, user_id::int as "userId", type, status, amount::int as amount,
      currency,
      idempotency_key as key,
      status = 'failed' and refused_for is not null as refused,
      type = 'return' or redrive_of is not null as unasked,
      exists (
        select from postings
        where postings.payment_id = payment.id and kind = 'settle_late'
      ) as corrected
    from payments payment
    order by id`)
  return rows.map((row) => ({ ...row, id: Number(row.id) }))
}

async function readCharges(stack: Stack): Promise<GatewayCharge[]> {
  const all = await Promise.all(gatewaysOf(stack).map(({ url }) => listed(httpCharges(url))))
  return all.flat()
}

/** A check that holds if nothing is wrong; the first few wrong ones are named. */
export function check(name: string, wrong: readonly string[], counted: string): Check {
  const few = wrong.slice(0, 5).join('; ')
  const detail = wrong.length === 0 ? counted : `${counted}; ${wrong.length} WRONG: ${few}`
  return { name, ok: wrong.length === 0, detail }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
