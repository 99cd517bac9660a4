import { numbers } from '../domain/array-parameters.ts'
import { CLOCK, NOW, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/**
 * What is done to many things by one act, such as the redrive of letters: what a dry run found, and
 * how far carrying it out has come.
 */
export interface Run {
  readonly id: bigint
  /** The endpoint that events are sent to again; null: letters are redriven. */
  readonly endpointId: bigint | null
  readonly state: 'planned' | 'running' | 'done' | 'canceled'
  /** As it was asked for, for people. */
  readonly filter: Readonly<Record<string, string | number>>
  readonly total: number
  /** The sum of the amounts of letters in the books' currency, in minor units. */
  readonly amount: bigint
  /** The letters in other currencies, by currency; null: there are none. */
  readonly others: Readonly<Record<string, Other>> | null
  readonly ratePerSecond: number
  /** How many are done, whatever came of them. */
  readonly position: number
  /** Letters that were redriven, or events that were put on their way again. */
  readonly carriedOut: number
  /** Letters no longer open when their turn came, and events no longer kept. */
  readonly skipped: number
  /** Letters left open, such as for lack of funds. */
  readonly refused: number
  /** How many were refused why, by error code. */
  readonly refusals: Readonly<Record<string, number>>
  readonly createdAt: Date
  readonly createdBy: string
  readonly startedAt: Date | null
  readonly startedBy: string | null
  readonly reason: string | null
  readonly endedAt: Date | null
  readonly canceledBy: string | null
}

/** The letters in one currency, with the sum of their amounts: minor units, as a text. */
interface Other {
  readonly count: number
  readonly amount: string
}

/** What is due of a run now. */
export interface RunStep {
  readonly id: bigint
  /** The endpoint that events are sent to again; null: letters are redriven. */
  readonly endpointId: bigint | null
  readonly position: number
  readonly ratePerSecond: number
  /** Of letters, or of events. */
  readonly ids: readonly string[]
  readonly startedBy: string
  readonly reason: string
  readonly requestId: string
  /** The place of the request in a trace; null: it is not traced. */
  readonly traceparent: string | null
  /** When this step was begun: the next one follows a second later. */
  readonly begunAt: Date
}

/** What a run goes through: one of the two is empty. */
const ITEMS = '(letter_ids || event_ids)'

/** The columns of a run. */
export const RUN_COLUMNS = `
    id, endpoint_id as "endpointId",
    case when state = 'replaying' then 'running' else state end as state, filter,
    coalesce(total, cardinality(${ITEMS})) as total, amount, others,
    rate_per_second as "ratePerSecond", position, redriven as "carriedOut",
    skipped, refused, refusals,
    created_at as "createdAt", created_by as "createdBy", started_at as "startedAt",
    started_by as "startedBy", reason, ended_at as "endedAt", canceled_by as "canceledBy"`

/**
 * Store what a dry run found. Snapshots that nobody started within a day go: they are lists of ids
 * and hold nothing that is not elsewhere.
 */
const PLAN: Unsharded<Run> = {
  name: 'redrives_plan',
  ...timedUnsharded`
  with ${CLOCK}, forgotten as (
    delete from redrives
    where state = 'planned' and created_at < (select time from clock) - interval '1 day'
  )
  insert into redrives
    (id, state, filter, letter_ids, event_ids, endpoint_id, amount, others, created_by, created_at)
  select
    nextval('redrive_ids'), 'planned', $2::jsonb,
    case when $7::bigint is null then $3::bigint[] else '{}' end,
    case when $7::bigint is not null then $3::bigint[] end,
    $7::bigint, $4::bigint, $6::jsonb, $5, time
  from clock
  returning ${RUN_COLUMNS}`,
}

/**
 * Forget which items some runs went through that ended an hour ago: their last steps have ended as
 * well. How many there were stays.
 */
const FORGET: Unsharded<{ id: bigint }> = {
  name: 'redrives_forget',
  ...timedUnsharded`
  update redrives
  set
    total = cardinality(${ITEMS}),
    letter_ids = '{}',
    event_ids = case when endpoint_id is not null then '{}'::bigint[] end
  where id = any (
      array(
        select id
        from redrives
        where total is null and ended_at < ${NOW} - interval '1 hour'
        order by ended_at
        limit $2
      )
    )
  returning id`,
}

/**
 * Start a snapshot, if nobody has and it is not older than `$7` milliseconds. Under a key that has
 * started another one it fails, so no key ever stands for two runs.
 */
const START: Unsharded<Run> = {
  name: 'redrives_start',
  ...timedUnsharded`
  with ${CLOCK}
  update redrives
  set
    state = case
      when cardinality(${ITEMS}) = 0 then 'done'
      when endpoint_id is null then 'running'
      else 'replaying'
    end,
    rate_per_second = $3,
    started_by = $4,
    reason = $5,
    request_id = $6,
    started_at = clock.time,
    next_at = clock.time,
    ended_at = case when cardinality(${ITEMS}) = 0 then clock.time end,
    api_key = $8,
    key = $9,
    traceparent = $11
  from clock
  where id = $2 and state = 'planned' and endpoint_id is not distinct from $10::bigint
    and created_at >= clock.time - $7::int * interval '1 millisecond'
  returning ${RUN_COLUMNS}`,
}

/** Stop a running run. The step in progress, at most a second's worth, still ends. */
const CANCEL: Unsharded<Run> = {
  name: 'redrives_cancel',
  ...timedUnsharded`
  update redrives
  set
    state = 'canceled',
    canceled_by = $3,
    ended_at = ${NOW}
  where id = $2 and state in ('running', 'replaying')
    and endpoint_id is not distinct from $4::bigint
  returning ${RUN_COLUMNS}`,
}

/**
 * Take the next step of a run that is due, of run `$2` or of any. `next_at` moves to the end of a
 * lease of `$3` milliseconds, so the step of a process that dies is done by another.
 */
const BEGIN: Unsharded<RunStep> = {
  name: 'redrives_begin',
  ...timedUnsharded`
  with ${CLOCK}, due as materialized (
    select id
    from redrives
    where state in ('running', 'replaying') and next_at <= (select time from clock)
      and ($2::bigint is null or id = $2)
    order by next_at
    limit 1
    for update skip locked
  )
  update redrives run
  set next_at = clock.time + $3::int * interval '1 millisecond'
  from due, clock
  where run.id = due.id
  returning
    run.id, run.endpoint_id as "endpointId", run.position,
    run.rate_per_second as "ratePerSecond",
    ${ITEMS}[run.position + 1 : run.position + run.rate_per_second] as ids,
    run.started_by as "startedBy", run.reason, run.request_id as "requestId",
    run.traceparent,
    clock.time as "begunAt"`,
}

/** The refusals of a run with those of a step added, by code. */
const withRefusals = (added: string) => `(
      select coalesce(jsonb_object_agg(code, total), '{}'::jsonb)
      from (
        select code, sum(count::int) as total
        from (
          select *
          from jsonb_each_text(refusals)
          union all
          select *
          from jsonb_each_text(${added}::jsonb)
        ) each (code, count)
        group by code
      ) summed
    )`

/**
 * Record a step that began at `$8`; the next is due a second after that. Conditional on what it
 * did, `$4`, standing where it stood: a step that two processes did is counted once, and where one
 * of them put letters off, those that stand there now are not passed over.
 */
const ADVANCE: Unsharded<never> = {
  name: 'redrives_advance',
  ...timedUnsharded`
  with ${CLOCK}, step as (
    select cardinality($4::bigint[]) as done
  )
  update redrives
  set
    position = position + done,
    redriven = redriven + $5::int,
    skipped = skipped + $6::int,
    refused = refused + $7::int,
    refusals = ${withRefusals('$9')},
    next_at = $8::timestamptz + interval '1 second',
    state = case
      when state <> 'canceled' and position + done >= cardinality(${ITEMS}) then 'done'
      else state
    end,
    ended_at = case
      when position + done >= cardinality(${ITEMS}) then coalesce(ended_at, clock.time)
      else ended_at
    end
  from clock, step
  where id = $2 and position = $3
    and ${ITEMS}[position + 1 : position + done] = $4::bigint[]`,
}

/** What a run goes through, with the items of a step, `$3`, as `$5` and, at the end, `$4`. */
const TURNED = `
      ${ITEMS}[1 : position] || $5::bigint[]
      || ${ITEMS}[position + cardinality($3::bigint[]) + 1 :] || $4::bigint[]`

/**
 * Record a step in which the items `$5` were done and `$4` were not, because somebody else has
 * locked what letters depend on, or because their shard is ill: those go to the end and have their
 * turn again. Conditional on the items of the step, `$3`, standing where they stood, so
 * that none is lost or done twice.
 */
const PUT_OFF: Unsharded<never> = {
  name: 'redrives_put_off',
  sharded: false,
  text: `
  update redrives
  set
    letter_ids = case when endpoint_id is null then${TURNED}
      else letter_ids
    end,
    event_ids = case when endpoint_id is not null then${TURNED}
    end,
    position = position + cardinality($5::bigint[]),
    redriven = redriven + $6::int,
    skipped = skipped + $7::int,
    refused = refused + $8::int,
    refusals = ${withRefusals('$10')},
    next_at = $9::timestamptz + interval '1 second'
  where id = $1 and position = $2
    and ${ITEMS}[position + 1 : position + cardinality($3::bigint[])] = $3::bigint[]`,
}

/** Store a snapshot: of letters, or of the events of an endpoint. */
export async function planRun(
  db: Global,
  plan: {
    readonly filter: Run['filter']
    readonly ids: readonly bigint[]
    readonly amount: bigint
    readonly others: Run['others']
    readonly actor: string
    readonly endpointId: bigint | null
  },
): Promise<Run> {
  const { filter, ids, amount, others, actor, endpointId } = plan
  const elsewhere = others === null ? null : JSON.stringify(others)
  const values = [JSON.stringify(filter), numbers(ids), amount, actor, elsewhere, endpointId]
  const [run] = await db.run(PLAN, values)
  if (run === undefined) throw new Error('the snapshot was not stored')
  return run
}

/** Forget what some ended runs went through; true: there may be more. */
export async function forgetItems(db: Global): Promise<boolean> {
  return (await db.run(FORGET, [FORGOTTEN_MAX])).length === FORGOTTEN_MAX
}

const FORGOTTEN_MAX = 100

/** The idempotency key of a start, and the API key it came with; '' where none is asked for. */
export interface RunKey {
  readonly apiKey: string
  readonly key: string
}

/** Start a snapshot; null when it cannot be started. */
export async function startRun(
  db: Global,
  id: bigint,
  start: {
    readonly ratePerSecond: number
    readonly actor: string
    readonly reason: string
    readonly requestId: string
    readonly ageMsMax: number
    readonly key: RunKey | null
    readonly endpointId: bigint | null
    readonly traceparent?: string
  },
): Promise<Run | null> {
  const { ratePerSecond, actor, reason, requestId, ageMsMax, key, endpointId } = start
  const under = [key?.apiKey ?? null, key?.key ?? null]
  const values = [id, ratePerSecond, actor, reason, requestId, ageMsMax, ...under, endpointId]
  values.push(start.traceparent ?? null)
  const [run] = await db.run(START, values)
  return run ?? null
}

/** Stop a running run; null when it is not running. */
export async function cancelRun(
  db: Global,
  id: bigint,
  actor: string | null,
  endpointId: bigint | null = null,
): Promise<Run | null> {
  const [run] = await db.run(CANCEL, [id, actor, endpointId])
  return run ?? null
}

/** Take the next due step of run `id`, or of any run. */
export async function beginStep(
  db: Global,
  id: bigint | null,
  leaseMs: number,
): Promise<RunStep | null> {
  const [step] = await db.run(BEGIN, [id, leaseMs])
  return step ?? null
}

/** What a step came to. */
export interface StepCounts {
  readonly carriedOut: number
  readonly skipped: number
  readonly refused: number
  /** Why, by error code. */
  readonly refusals: Readonly<Record<string, number>>
}

/** Record what a step did. */
export async function advanceRun(db: Global, step: RunStep, counts: StepCounts): Promise<void> {
  const { carriedOut, skipped, refused, refusals } = counts
  const { id, position, ids, begunAt } = step
  const values = [id, position, ids, carriedOut, skipped, refused, begunAt]
  await db.run(ADVANCE, [...values, JSON.stringify(refusals)])
}

/** Record what a step did, some of whose items have to have their turn again. */
export async function putOff(
  db: Global,
  step: RunStep,
  counts: StepCounts,
  busy: ReadonlySet<string>,
): Promise<void> {
  const { id, position, ids, begunAt } = step
  const { carriedOut, skipped, refused, refusals } = counts
  const done = ids.filter((itemId) => !busy.has(itemId))
  const counted = [carriedOut, skipped, refused]
  const values = [id, position, ids, [...busy], done, ...counted, begunAt]
  await db.run(PUT_OFF, [...values, JSON.stringify(refusals)])
}
