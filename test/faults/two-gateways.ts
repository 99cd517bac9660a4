import { askEach, openUser, type Entry } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import { noSlower, type Took } from './slower.ts'
import type { Stack } from './stack.ts'
import { check, type Check } from './witnesses.ts'

const WELL = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_ms: 5,
  latency_jitter_ms: 20,
}
/** How long the bank is away; with `--long` as long as in service. */
const DOWN_MS = 15_000
const LONG_DOWN_MS = 600_000
/** How long the payments of the other gateway are watched before. */
const CALM_MS = 10_000
const PAYMENTS = 30
/** Until a breaker with the longest pause has tried again, and its backlog is worked off. */
const DONE_MS_MAX = 120_000

/** Two gateways, of which one is away, and then does not know the credential of our payouts. */
export const TWO_GATEWAYS: Scenario = {
  name: 'two-gateways',
  title:
    'One of two gateways is away for 15 s (with --long for ten minutes), and then refuses the ' +
    'credential of payouts',
  lane: 'alone',
  perSecond: 20,
  needs: { 'payments for the bank while it is away': 2 * PAYMENTS, 'payouts answered 401': 1 },
  stack: () => ({
    apis: 1,
    workers: 2,
    bank: true,
    gatewayFaults: WELL,
    env: {
      GATEWAY_MAX_ATTEMPTS: '3',
      GATEWAY_BACKOFF_BASE_SECONDS: '1',
      GATEWAY_BACKOFF_MAX_SECONDS: '5',
      GATEWAY_TIMEOUT_SECONDS: '4',
      WORKER_PROCESSING_TIMEOUT_SECONDS: '14',
    },
  }),
  async run(stage) {
    const { stack, wait, fired, healed, add, expect, long, until } = stage
    const { bank } = stack
    if (bank === null) throw new Error('there is no bank')
    await stack.ready()
    const apis = stack.apis.map(({ url }) => url)
    const userId = await openUser(apis[0] ?? '', 100_000, { currency: 'EUR' })
    const calmAt = new Date()
    await wait(CALM_MS)

    await bank.way.away(true)
    fired('the bank is away')
    const awayAt = new Date()
    const asked = await askBoth(stage, userId)
    add('payments for the bank while it is away', accepted(asked))
    await wait(long ? LONG_DOWN_MS : DOWN_MS)
    bank.front.lockPayouts(true)
    await bank.way.away(false)
    healed('the bank is back')
    fired('the bank does not know the credential of payouts')
    const paid = (type: string) => ended(stack, type, 'success')
    await until(DONE_MS_MAX, async () => (await paid('deposit')) === PAYMENTS)
    await askBoth(stage, userId)
    await until(DONE_MS_MAX, async () => (await paid('deposit')) === 2 * PAYMENTS)
    const went = await paid('deposit')
    const stuck = went === 2 * PAYMENTS ? [] : [`${went} of ${2 * PAYMENTS}`]
    expect(check('Deposits of the bank go on while its payouts wait', stuck, `${went} succeeded`))
    const refused = await count(stack, "payment_attempts where reason = 'http_401'")
    add('payouts answered 401', refused)
    const early = await paid('withdraw')
    expect(check('No payout is made meanwhile', early === 0 ? [] : [`${early}`], 'all wait'))
    const backAt = new Date()

    bank.front.lockPayouts(false)
    healed('the credential is right')
    await until(DONE_MS_MAX, async () => (await paid('withdraw')) === 2 * PAYMENTS)
    const made = await paid('withdraw')
    const left = made === 2 * PAYMENTS ? [] : [`${made} of ${2 * PAYMENTS}`]
    expect(check('All payouts are made when it is right', left, `${made} succeeded`))
    const failed = await count(stack, "payments where gateway = 'bank' and status = 'failed'")
    expect(check('The outage fails nothing', failed === 0 ? [] : [`${failed} failed`], 'none'))
    expect(await asBefore(stack, [calmAt, awayAt], [awayAt, backAt]))
  },
}

/** Have deposits and withdrawals of the bank accepted. */
async function askBoth({ stack, asked }: Stage, userId: number): Promise<readonly Entry[]> {
  const apis = stack.apis.map(({ url }) => url)
  const order = { userId, count: PAYMENTS, everyMs: 20 }
  const deposits = await askEach(apis, { type: 'deposit', ...order }, asked)
  return [...deposits, ...(await askEach(apis, { type: 'withdraw', ...order }, asked))]
}

function accepted(entries: readonly Entry[]): number {
  return entries.filter(({ answers }) => answers.at(-1)?.status === 202).length
}

/** Payments of the bank that ended so. */
function ended(stack: Stack, type: string, status: string): Promise<number> {
  return count(
    stack,
    `payments where gateway = 'bank' and type = '${type}' and status = '${status}'`,
  )
}

async function count({ query }: Stack, of: string): Promise<number> {
  const [row] = await query<{ count: number }>(`select count(*)::int as count from ${of}`)
  return row?.count ?? 0
}

type Span = readonly [from: Date, to: Date]

/** Whether payments of the other gateway ended as soon as before. */
async function asBefore(stack: Stack, before: Span, during: Span): Promise<Check> {
  const name = 'Payments of the other gateway end as soon as before'
  return noSlower(name, await took(stack, before), await took(stack, during))
}

/** How long payments of the other gateway took from being accepted to their end. */
function took({ query }: Stack, [from, to]: Span): Promise<Took[]> {
  return query<Took>(`
    select extract(epoch from created_at)::float8 * 1000 as "atMs",
      extract(epoch from finished_at - created_at)::float8 * 1000 as ms
    from payments
    where gateway is distinct from 'bank' and attempts > 0 and finished_at is not null
      and created_at between '${from.toISOString()}' and '${to.toISOString()}'`)
}
