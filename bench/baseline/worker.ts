import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { openStore } from './statements.ts'

/**
 * The worker of the baseline: it takes one task, charges the gateway, writes what came of it, and
 * takes the next. It waits only when nothing is due.
 */
const POLL_MS = 500
const TIMEOUT_MS = 1_000
const ATTEMPTS_MAX = 3
const BACKOFF_BASE_SECONDS = 1
const BACKOFF_MAX_SECONDS = 30
const JITTER_SECONDS = 0.5

const store = openStore(process.env.DATABASE_URL ?? '', 4)
const gateway = new URL(process.env.PAYMENT_GATEWAY_URL ?? '')
const http = new Pool(gateway.origin, { connections: 1 })
let succeeded = 0
let stopping = false

interface Task {
  readonly id: string
  readonly paymentId: string
  readonly attempts: number
}

interface Payment {
  readonly id: string
  readonly userId: string
  readonly type: 'deposit' | 'withdraw'
  readonly amount: string
  readonly commission: string
}

function claim(): Promise<Task | null> {
  return store.transaction(async (run) => {
    const [task] = await run<Task>('claim', [])
    if (task === undefined) return null
    await run('lockTask', [task.id])
    return { ...task, attempts: task.attempts + 1 }
  })
}

/** Null if the gateway took it; otherwise what went wrong. */
async function charge(payment: Payment): Promise<string | null> {
  try {
    const { statusCode, body } = await http.request({
      method: 'POST',
      path: `${gateway.pathname}/pay`,
      headers: { 'content-type': 'application/json', 'idempotency-key': `payment-${payment.id}` },
      body: JSON.stringify({
        payment_id: Number(payment.id),
        user_id: Number(payment.userId),
        amount: Number(payment.amount) / 100,
        commission: Number(payment.commission) / 100,
        type: payment.type,
      }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await body.dump()
    return statusCode === 200 ? null : `http_${statusCode}`
  } catch {
    return 'timeout'
  }
}

async function work(task: Task): Promise<void> {
  await store.transaction((run) => run('markProcessing', [task.paymentId]))
  const [payment] = await store.run<Payment>('payment', [task.paymentId])
  if (payment === undefined) throw new Error(`task ${task.id} has no payment`)
  await store.run('transaction', [task.paymentId])
  const error = await charge(payment)
  if (error === null) return succeed(task, payment)
  if (task.attempts < ATTEMPTS_MAX) {
    const backoff = Math.min(BACKOFF_MAX_SECONDS, BACKOFF_BASE_SECONDS * 2 ** (task.attempts - 1))
    const delay = backoff + Math.random() * JITTER_SECONDS
    await store.transaction((run) => run('retryTask', [task.id, delay, error]))
    return
  }
  await store.transaction(async (run) => {
    await run('finishPayment', [payment.id, 'failed', error])
    await run('finishTransaction', [payment.id, 'failed'])
    await run('deadLetter', [payment.id, error, task.attempts])
  })
  await store.transaction((run) => run('finishTask', [task.id, 'failed', error]))
}

async function succeed(task: Task, payment: Payment): Promise<void> {
  const [amount, commission] = [BigInt(payment.amount), BigInt(payment.commission)]
  const moved = payment.type === 'deposit' ? amount - commission : -(amount + commission)
  await store.transaction(async (run) => {
    await run('lockUser', [payment.userId])
    await run('moveBalance', [payment.userId, moved])
    await run('finishPayment', [payment.id, 'success', null])
    await run('finishTransaction', [payment.id, 'success'])
  })
  await store.transaction((run) => run('finishTask', [task.id, 'completed', null]))
  succeeded += 1
}

/** The same counter under the same name as the service that is measured beside it. */
const metrics = createServer((_request, response) => {
  response.end(`payments_success_total ${succeeded}\n`)
})
metrics.listen(Number(process.env.PORT), '127.0.0.1')
process.on('SIGTERM', () => (stopping = true))

while (!stopping) {
  const task = await claim()
  if (task === null) await sleep(POLL_MS)
  else await work(task)
}
process.exit(0)
