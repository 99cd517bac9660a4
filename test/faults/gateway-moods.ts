import { askEach, openUser } from './load.ts'
import type { Scenario, Stage } from './scenario.ts'
import type { Stack } from './stack.ts'
import { check } from './witnesses.ts'

const WELL = {
  timeout_after: 0,
  error_before: 0,
  error_after: 0,
  reset_after: 0,
  latency_ms: 5,
  latency_jitter_ms: 20,
}
/** As in service: what these scenarios show must not hang on many tries. */
const TRIES = {
  GATEWAY_MAX_ATTEMPTS: '3',
  GATEWAY_BACKOFF_BASE_SECONDS: '1',
  GATEWAY_BACKOFF_MAX_SECONDS: '5',
  // What is slow here is the machine, and no call is in doubt for it.
  GATEWAY_TIMEOUT_SECONDS: '4',
  WORKER_PROCESSING_TIMEOUT_SECONDS: '14',
}
const PAYMENTS = 200
const EVERY_MS = 100
/** 200 payments take three minutes. */
const LONG_EVERY_MS = 900
/** Until a breaker with the longest pause has tried again, and its backlog is worked off. */
const DONE_MS_MAX = 120_000
/**
 * While a credential is wrong one probe is enough to learn so: this many in half a minute, and in
 * three minutes, with the pauses between them at their longest.
 */
const PROBES_MAX = 40

const WRONG_CREDENTIAL: Scenario = {
  name: 'wrong-credential',
  title:
    'The gateway answers 401 while 200 payments are accepted (with --long for three minutes); then ' +
    'the credential is right',
  lane: 0,
  perSecond: 0,
  needs: { 'payments accepted meanwhile': PAYMENTS, 'charges answered 401': 1 },
  stack: () => ({ apis: 1, workers: 2, gatewayFaults: WELL, env: TRIES }),
  async run(stage) {
    const { stack, fired, add, healed, until, expect } = stage
    await stack.ready()
    await stack.turnGateway({ wrong_credential: 1 })
    fired('the credential is wrong')
    add('payments accepted meanwhile', await accept(stage, PAYMENTS))
    const refused = await rows(stack, "payment_attempts where outcome = 'misconfigured'")
    add('charges answered 401', refused)
    const many = refused > PROBES_MAX ? [`${refused} charges`] : []
    expect(check('While a credential is wrong only probes are made', many, `${refused} of them`))
    const ended = await rows(stack, "payments where status <> 'new'")
    const wrong = ended === 0 ? [] : [`${ended} payments`]
    expect(check('A wrong credential ends no payment', wrong, `${PAYMENTS} wait`))

    await stack.turnGateway({ wrong_credential: 0 })
    healed('the credential is right')
    const paid = () => rows(stack, "payments where status = 'success'")
    await until(DONE_MS_MAX, async () => (await paid()) === PAYMENTS)
    const left = (await paid()) === PAYMENTS ? [] : [`${await paid()} of ${PAYMENTS}`]
    expect(check('All succeed when it is right', left, `${PAYMENTS} successes`))
    const letters = await rows(stack, 'dead_letters')
    const none = letters === 0 ? [] : [`${letters} letters`]
    expect(check('No letter is written about them', none, 'none'))
    const told = (what: string) =>
      stack.workers.flatMap(({ alerts }) => alerts.filter((line) => line.includes(what))).length
    const alerts = [told('does not talk to us'), told('talks to us again')].join(' and ')
    const noisy = alerts === '1 and 1' ? [] : [alerts]
    expect(check('One alert when it is wrong, and one line when it is right', noisy, alerts))
  },
}

const ODD_PAYMENT: Scenario = {
  name: 'odd-payment',
  title: 'One payment of 200 is answered 404 for good; all others work',
  lane: 1,
  perSecond: 0,
  needs: { 'charges answered 404': 3 },
  stack: () => ({
    apis: 1,
    workers: 2,
    front: true,
    gatewayFaults: WELL,
    // A page names nobody: only on a connection of its own is it about the request it answers.
    env: { ...TRIES, GATEWAY_GIVE_UP_SECONDS: '2', GATEWAY_ECHO: 'optional' },
  }),
  async run(stage) {
    const { stack, add, fired, until, expect } = stage
    await stack.ready()
    // Ids are not told before: the first that is charged is the odd one.
    stack.front?.pick()
    fired('one payment is answered 404')
    await accept(stage, PAYMENTS)
    const paid = () => rows(stack, "payments where status = 'success'")
    await until(DONE_MS_MAX, async () => (await paid()) >= PAYMENTS - 1)
    const once = await rows(
      stack,
      `(select from payment_attempts group by payment_id
        having count(*) = 1 and bool_and(outcome = 'success')) one`,
    )
    const late = once === PAYMENTS - 1 ? [] : [`${once} of them`]
    expect(check('199 succeed by their first charge', late, `${once} of them`))
    const odd = "payments where status = 'failed' and last_error = 'rejected'"
    // It is the odd one as long as the gateway answers others.
    const ends = async () => {
      await accept(stage, 1)
      return (await rows(stack, odd)) === 1
    }
    const open = (await until(DONE_MS_MAX, ends)) ? [] : ['it has not ended']
    expect(check('The odd one ends as failed, because it was rejected', open, '1 failed'))
    add('charges answered 404', await rows(stack, "payment_attempts where reason = 'http_404'"))
    const alerts = stack.workers.flatMap((worker) => worker.alerts)
    expect(check('One odd payment is no alert', alerts, 'none'))
  },
}

const RESTART_MS = 5_000
const RESTARTS = 3

const GATEWAY_RESTART: Scenario = {
  name: 'gateway-restart',
  title: 'The gateway is restarted while there is little to do: for 5 s nobody listens there',
  lane: 0,
  perSecond: 2,
  needs: { 'connections to the gateway refused': RESTARTS },
  stack: () => ({ apis: 1, workers: 2, gatewayFaults: WELL, env: TRIES }),
  async run({ stack, add, wait, fired, healed, expect }) {
    await stack.ready()
    for (let restart = 0; restart < RESTARTS; restart += 1) {
      await wait(2_000)
      await stack.gateway.away(true)
      fired('the gateway is away')
      await wait(RESTART_MS)
      await stack.gateway.away(false)
      healed('the gateway is back')
    }
    await wait(2_000)
    const refused = await rows(stack, "payment_attempts where outcome = 'not_executed'")
    add('connections to the gateway refused', refused)
    const failed = await rows(stack, "payments where status = 'failed' and attempts > 0")
    const ended = failed === 0 ? [] : [`${failed} payments`]
    expect(check('A restart of the gateway fails nobody', ended, `${refused} calls refused`))
  },
}

/** Have deposits of one user accepted, and return how many were. */
async function accept({ stack, asked, long }: Stage, count: number): Promise<number> {
  const apis = stack.apis.map(({ url }) => url)
  const userId = asked[0]?.userId ?? (await openUser(apis[0] ?? '', 0))
  const everyMs = long ? LONG_EVERY_MS : EVERY_MS
  const order = { type: 'deposit', userId, count, everyMs } as const
  const entries = await askEach(apis, order, asked)
  return entries.filter(({ answers }) => answers.at(-1)?.status === 202).length
}

/** How many rows of something there are. */
async function rows({ query }: Stack, of: string): Promise<number> {
  const [row] = await query<{ count: number }>(`select count(*)::int as count from ${of}`)
  return row?.count ?? 0
}

export const GATEWAY_MOODS: readonly Scenario[] = [WRONG_CREDENTIAL, ODD_PAYMENT, GATEWAY_RESTART]
