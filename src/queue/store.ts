import { columns, numbers } from '../domain/array-parameters.ts'
import type { Route } from '../domain/payment.ts'
import { CLOCK, NOW, timed, type Runner, type Statement, type Tx } from '../ports.ts'

/** Remove finished tasks from the queue. */
const DELETE: Statement<never> = {
  name: 'tasks_delete',
  text: `
  delete from payment_tasks
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/** How a claim ends whose payment stays open. */
export interface Rescheduled {
  readonly paymentId: bigint
  readonly delayMs: number
  /** What these are from now on. */
  readonly lookups: number
  readonly pendings: number
  /** What is added: tries used up, and charges of which a byte may have left. */
  readonly tries: number
  readonly sent: number
  /** A charge of this claim may have been executed. */
  readonly doubted: boolean
  /** Provably none was. */
  readonly unsent: boolean
  /** The gateway would not talk to us. */
  readonly refused: boolean
  /** Null: as it was. */
  readonly reason: string | null
  /** What the payer has to do, as JSON; null: as it was, '': nothing. */
  readonly action: string | null
}

const RESCHEDULED = columns<Rescheduled>({
  paymentId: 'bigint',
  delayMs: 'bigint',
  lookups: 'int',
  pendings: 'int',
  tries: 'int',
  sent: 'int',
  doubted: 'boolean',
  unsent: 'boolean',
  refused: 'boolean',
  reason: 'text',
  action: 'text',
})

/** A payment is not asked about more often than this because of notices. */
const NOTICES_APART = `interval '10 seconds'`

/** A notice moves the next question of a task, rather than finds it as soon already. */
const FORWARD = 'not task.leased and task.run_at > soonest.time'

/**
 * Ask about a payment sooner, because its gateway sent a notice: at once, or when the last time is
 * long enough ago; `asked_at` says when, and until then further notices change nothing. Only what
 * is asked about anyway: no notice makes a charge come sooner. While a claim holds the payment,
 * `noticed_at` keeps the moment for the end of the claim.
 *
 * Anybody may send a notice, so the question that it brings forward is not counted: one is taken
 * off that its claim adds again, and the delays go on as if nobody had sent anything. At 1 it stays
 * 1, because at 0 the payment might be charged.
 */
const HURRY: Statement<{ paymentId: bigint }> = {
  name: 'tasks_hurry',
  ...timed`
  with ${CLOCK}
  update payment_tasks task
  set
    asked_at = soonest.time,
    noticed_at = case when task.leased then soonest.time end,
    lookups = task.lookups - (task.lookups > 1 and ${FORWARD})::int,
    pendings = task.pendings - (task.lookups = 0 and task.pendings > 1 and ${FORWARD})::int,
    run_at = case when task.leased then task.run_at else least(task.run_at, soonest.time) end
  from (
    select greatest(clock.time, own.asked_at + ${NOTICES_APART}) as time
    from clock
    cross join payment_tasks own
    where own.shard = $1 and own.payment_id = $3 and own.gateway = $4 and own.operation = $5
      and (own.leased or own.lookups > 0 or own.pendings > 0)
      and (own.asked_at is null or own.asked_at <= clock.time)
    for update of own
  ) soonest
  where task.shard = $1 and task.payment_id = $3
  returning task.payment_id as "paymentId"`,
}

/**
 * When a notice that came during the claim has its payment asked about, if that is all that comes
 * next; null: there was none. What is to be charged again comes no sooner by it.
 */
const NOTICED = `case
      when input.lookups + input.pendings > 0 and task.noticed_at is not null
        then greatest(input.time, task.noticed_at)
    end`

/**
 * End claims whose payments stay open: due again after their delay. `tries` and `sent` are added to
 * what is counted. `doubted` moves the moment of the last charge of unknown outcome to now;
 * `unsent` says that whatever the claim sent was provably not executed, so if nothing else is in
 * doubt, no charge of this payment ever was. `lookups` and `pendings` above 0 keep a payment from
 * being charged. What the payer has to do, and since when the gateway has the payment, is known of
 * those that it has in hand alone. The question that a notice asked for meanwhile is not counted.
 */
const RESCHEDULE: Statement<never> = {
  name: 'tasks_reschedule',
  ...timed`
  with ${CLOCK}, input as materialized (
    select
      clock.time, clock.time + given.delay_ms * interval '1 millisecond' as due_at, given.*
    from clock, ${RESCHEDULED.unnest('given', 3)}
  ), counted as (
    insert into payment_counts (shard, retried)
    select $1::int, count(*)
    from unnest($7::int[]) as input (tries)
    where tries > 0
    having count(*) > 0
  )
  update payment_tasks task
  set
    run_at = least(input.due_at, ${NOTICED}),
    noticed_at = null,
    leased = false,
    attempts = task.attempts + input.sent,
    tries = task.tries + input.tries,
    tried_at = case
      when input.tries > 0 then coalesce(task.tried_at, input.time) else task.tried_at
    end,
    lookups = input.lookups - (
      input.lookups > 1 and coalesce(${NOTICED} < input.due_at, false)
    )::int,
    pendings = input.pendings - (
      input.lookups = 0 and input.pendings > 1 and coalesce(${NOTICED} < input.due_at, false)
    )::int,
    doubt_at = case when input.doubted then input.time else task.doubt_at end,
    first_sent_at = case
      when input.unsent and task.doubt_at is null then null else task.first_sent_at
    end,
    misconfigured_at = case when input.refused then input.time else task.misconfigured_at end,
    last_error = coalesce(input.reason, task.last_error),
    pending_at = case
      when input.pendings > 0
        then coalesce(case when task.pendings > 0 then task.pending_at end, input.time)
    end,
    action = case
      when input.pendings > 0 and input.action is distinct from ''
        then coalesce(input.action::jsonb, case when task.pendings > 0 then task.action end)
    end
  from input
  where task.shard = $1 and task.payment_id = input.payment_id`,
}

/** Give back claims that were never started: due at once, and as if they had not been claimed. */
const RELEASE: Statement<never> = {
  name: 'tasks_release',
  ...timed`
  with ${CLOCK}
  update payment_tasks
  set
    run_at = (select time from clock),
    leased = false,
    first_sent_at = case when doubt_at is null then null else first_sent_at end
  where shard = $1 and payment_id = any ($3::bigint[])`,
}

/** The payments of which some claim saw the gateway say yes. */
const CHARGED: Statement<{ paymentId: bigint }> = {
  name: 'attempts_charged',
  ranged: 'payment_attempts',
  text: `
  select distinct payment_id as "paymentId"
  from payment_attempts
  where shard = $1 and payment_id = any ($2::bigint[]) and outcome = 'success'`,
}

/** What the payer has to do, as it is shown. */
interface ShownAction {
  readonly type: 'redirect'
  readonly url: string
  readonly expires_at: string | null
}

/** What is known of the open tasks of some payments. */
export interface TaskView {
  readonly paymentId: bigint
  readonly runAt: Date
  readonly attempts: number
  readonly lookups: number
  /** The gateway has it and has not finished it. */
  readonly pending: boolean
  /** What the payer has to do before it goes on; null: nothing. */
  readonly action: ShownAction | null
  readonly leased: boolean
  readonly inDoubt: boolean
  readonly lastError: string | null
}

/** Read the tasks of payments; finished payments have none. */
const READ: Statement<TaskView> = {
  name: 'tasks_read',
  ...timed`
  select
    payment_id as "paymentId", run_at as "runAt", attempts, lookups, pendings > 0 as "pending",
    case when pendings > 0 then action end as action,
    leased and run_at > ${NOW} as "leased",
    doubt_at is not null as "inDoubt", last_error as "lastError"
  from payment_tasks
  where shard = $1 and payment_id = any ($3::bigint[])`,
}

/** Remove finished tasks. */
export function deleteTasks(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(DELETE, [numbers(paymentIds)])
}

/** End claims whose payments stay open. */
export function rescheduleTasks(tx: Tx, tasks: readonly Rescheduled[]): void {
  if (tasks.length > 0) tx.write(RESCHEDULE, RESCHEDULED.of(tasks))
}

/** Ask about a payment of this route sooner; false: there is nothing to ask, or it is soon. */
export async function hurryTask(
  shard: Runner,
  paymentId: bigint,
  { gateway, operation }: Route,
): Promise<boolean> {
  const rows = await shard.run(HURRY, [paymentId, gateway, operation])
  return rows.length > 0
}

/** Give back claims that were never started. */
export function releaseTasks(tx: Tx, paymentIds: readonly bigint[]): void {
  if (paymentIds.length > 0) tx.write(RELEASE, [numbers(paymentIds)])
}

/** Which of these payments the gateway said yes to, by the evidence that is kept. */
export async function chargedPayments(
  tx: Runner,
  paymentIds: readonly bigint[],
): Promise<bigint[]> {
  if (paymentIds.length === 0) return []
  const rows = await tx.run(CHARGED, [numbers(paymentIds)])
  return rows.map((row) => row.paymentId)
}

/** Read the open tasks of payments, by payment id. */
export async function readTasks(
  shard: Runner,
  paymentIds: readonly bigint[],
): Promise<Map<bigint, TaskView>> {
  const rows = await shard.run(READ, [numbers(paymentIds)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}
