import { askEach, openUser, send } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import type { Stack } from './stack.ts'
import { check } from './witnesses.ts'

/** A gateway that does its work, and takes this long. */
const well = (latencyMs: number) => ({
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_jitter_ms: 0,
  latency_ms: latencyMs,
})
/** A gateway from which nobody learns anything about a charge: it refuses the request. */
const DUMB = { ...well(0), rejected: 1, lookup_errors: 1 }

/** Long enough that all are claimed, called and cut off before the first answer comes. */
const CALL_MS = 2_500
const SLOW_CALLS = { GATEWAY_TIMEOUT_SECONDS: '4', WORKER_PROCESSING_TIMEOUT_SECONDS: '14' }
const WORDS_MS_MAX = 120_000

const LOOKUPS = ['none', 'eventual', 'consistent'] as const
/** Payments of each scenario: some are left alone, some redriven, some resolved meanwhile. */
const PAYMENTS = 6

/**
 * A worker's line to the database is cut while its calls are on the way. Another takes over when
 * the leases end, learns nothing from the gateway, and an operator acts; then the line is whole
 * again.
 */
const LATE: readonly Scenario[] = LOOKUPS.flatMap((lookup) =>
  [true, false].map((idempotent): Scenario => {
    const keys = idempotent ? 'honoured' : 'not honoured'
    return {
      name: `late-word-${lookup}-${idempotent ? 'keys' : 'no-keys'}`,
      title: `A worker that was cut off reports late; lookups: ${lookup}, keys: ${keys}`,
      lane: idempotent ? 0 : 1,
      perSecond: 0,
      needs: { 'a line cut for longer than a lease': 1, 'late words': 1 },
      stack: () => ({
        apis: 1,
        workers: 2,
        line: 'worker 1',
        env: {
          ...SLOW_CALLS,
          GATEWAY_LOOKUP: lookup,
          GATEWAY_IDEMPOTENT: String(idempotent),
          GATEWAY_MAX_ATTEMPTS: '2',
          // Until then a refusal uses up no last try of a payment in doubt.
          GATEWAY_GIVE_UP_SECONDS: '10',
        },
      }),
      run: (stage) => lateWords(stage, idempotent),
    }
  }),
)

async function lateWords(stage: Stage, idempotent: boolean): Promise<void> {
  const { stack, asked, fired, healed, until, add, expect } = stage
  const successor = stack.workers[1]
  await stack.ready()
  const userId = await openUser(stack.apis[0]?.url ?? '', 1_000)
  successor?.signal('SIGSTOP')
  await stack.turnGateway(well(CALL_MS))
  const apis = stack.apis.map(({ url }) => url)
  await askEach(apis, { type: 'withdraw', userId, count: PAYMENTS, everyMs: 0 }, asked)
  await until(WORDS_MS_MAX, async () => (await executed(stack)) >= PAYMENTS)
  stack.line.turn({ blackHole: true })
  fired('a line cut for longer than a lease')
  await stack.turnGateway(DUMB)
  successor?.signal('SIGCONT')
  const doubted = () => stack.query<Letter>(LETTERS)
  const given = async () => (await doubted()).length + (await successes(stack)) >= PAYMENTS
  const stuck = (await until(WORDS_MS_MAX, given)) ? [] : ['some are not']
  expect(check('Without a word the payments are unknown', stuck, `${PAYMENTS} of them`))
  const cutOff = PAYMENTS - (await successes(stack))
  await operate(stage, await doubted())

  stack.line.turn({})
  healed('the line is whole')
  const all = async () => (await successes(stack)) === PAYMENTS && (await doubted()).length === 0
  const open = (await until(WORDS_MS_MAX, all)) ? [] : ['some are not']
  expect(check('All end by the late yes, while the gateway says nothing', open, `${cutOff} late`))
  const lateYes = "late and kind = 'charge' and outcome = 'success'"
  add('late words', await attempts(stack, lateYes))
  const kept = await attempts(stack, "kind = 'charge' and outcome = 'success'")
  const lost = kept === PAYMENTS ? [] : [`${kept} of ${PAYMENTS}`]
  expect(check('Every word of the gateway is in the evidence', lost, `${kept} words`))
  const again = idempotent ? 0 : await attempts(stack, "kind = 'charge' and call > 0 and fence > 1")
  const sent = again === 0 ? [] : [`${again} charges`]
  expect(check('Where keys are not honoured no charge is sent again', sent, 'none'))
  await stack.turnGateway({ rejected: 0, lookup_errors: 0 })
}

interface Letter {
  readonly id: number
}

const LETTERS = `select id::int as id from dead_letters where state = 'open' order by payment_id`

/** An operator acts, who knows nothing of the word that is on its way. */
async function operate({ stack, add }: Stage, letters: readonly Letter[]): Promise<void> {
  const api = stack.apis[0]?.url ?? ''
  const acts = [
    ['redrive', { reason: 'once more' }],
    ['resolve', { reason: 'seen on the statement', outcome: 'success' }],
  ] as const
  for (const [index, { id }] of letters.entries()) {
    const [act, body] = acts[index % 3] ?? []
    if (act === undefined) continue
    const { status } = await send(`${api}/api/v1/dlq/${id}/${act}`, body, null)
    add(`${act}: ${status}`, 1)
  }
}

async function executed({ gatewayUrl }: Stack): Promise<number> {
  const audit = (await (await fetch(`${gatewayUrl}/audit`)).json()) as { executed: number }
  return audit.executed
}

async function successes({ query }: Stack): Promise<number> {
  const [row] = await query<{ count: number }>(
    "select count(*)::int as count from payments where status = 'success'",
  )
  return row?.count ?? 0
}

async function attempts({ query }: Stack, which: string): Promise<number> {
  const [row] = await query<{ count: number }>(
    `select count(*)::int as count from payment_attempts where ${which}`,
  )
  return row?.count ?? 0
}

const CALLS = 200
const LEASES = 3

/** The database is away for three leases, from the middle of many calls on. */
const LONG_OUTAGE: Scenario = {
  name: 'long-outage',
  title: 'PostgreSQL is away for three leases while 200 calls are on the way',
  lane: 1,
  perSecond: 0,
  needs: { 'calls on the way when the database went': CALLS / 2 },
  stack: () => ({
    apis: 1,
    workers: 2,
    env: { ...SLOW_CALLS, WORKER_CONCURRENCY: '256', WORKER_BATCH: '256' },
  }),
  async run({ stack, asked, wait, fired, add, healed, until, expect }) {
    await stack.ready()
    const userId = await openUser(stack.apis[0]?.url ?? '', 100_000)
    await stack.turnGateway(well(CALL_MS))
    for (const worker of stack.workers) worker.signal('SIGSTOP')
    const apis = stack.apis.map(({ url }) => url)
    await askEach(apis, { type: 'withdraw', userId, count: CALLS, everyMs: 0 }, asked)
    for (const worker of stack.workers) worker.signal('SIGCONT')
    await until(WORDS_MS_MAX, async () => (await executed(stack)) >= CALLS)
    add('calls on the way when the database went', CALLS - (await successes(stack)))
    stack.server.kill()
    fired('PostgreSQL killed', 'PostgreSQL away')
    await wait(LEASES * Number(SLOW_CALLS.WORKER_PROCESSING_TIMEOUT_SECONDS) * 1_000)
    await stack.server.revive()
    healed('PostgreSQL answers')
    const first = "kind = 'charge' and call > 0 and fence = 1"
    const all = async () => (await attempts(stack, first)) >= CALLS
    await until(WORDS_MS_MAX, async () => (await all()) && (await successes(stack)) === CALLS)
    const kept = await attempts(stack, first)
    const lost = kept === CALLS ? [] : [`${kept} of ${CALLS}`]
    expect(check('Every word of the gateway is in the evidence', lost, `${kept} words`))
    const again = await attempts(stack, "kind = 'charge' and call > 0 and fence > 1")
    add('charges sent again', again)
  },
}

export const LATE_WORDS: readonly Scenario[] = [...LATE, LONG_OUTAGE]
