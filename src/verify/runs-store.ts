import { CLOCK, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** A part of a check, and how much of it is done. */
interface RunProgress {
  readonly part: string
  readonly done: number
  readonly total: number
}

/** A rule as a report shows it. */
interface RuleResult {
  readonly rule: string
  readonly severity: string
  readonly holds: string
  readonly checked: number
  readonly violations: number
  readonly duration_ms: number
  readonly examples: readonly { readonly name: string }[]
}

/** A report as it is stored. */
interface StoredReport {
  readonly complete: boolean
  readonly duration_ms: number
  readonly violations: number
  readonly rules: readonly RuleResult[]
  /** Those that could not be checked to their end; not there: none. */
  readonly missing_shards?: readonly number[]
}

/** A check of the books, under way or ended. */
export interface VerifyRun {
  readonly id: bigint
  readonly scope: 'recent' | 'full'
  readonly state: 'running' | 'done' | 'failed'
  readonly startedAt: Date
  readonly startedBy: string
  readonly endedAt: Date | null
  readonly progress: RunProgress | null
  readonly report: StoredReport | null
  /** Why it failed. */
  readonly error: string | null
}

/** A running check says every few seconds that it lives; this is several times as long. */
const LOST = `interval '1 minute'`
/** Checks of a scope that are kept. */
const KEPT_MAX = 50

const COLUMNS = `
    id, scope, state, started_at as "startedAt", started_by as "startedBy",
    ended_at as "endedAt", progress, report, error`

/** End checks whose process has died. */
const LOSE: Unsharded<never> = {
  name: 'verifications_lose',
  ...timedUnsharded`
  with ${CLOCK}
  update verifications
  set state = 'failed', ended_at = seen_at, error = 'process_lost'
  from clock
  where state = 'running' and seen_at < time - ${LOST}`,
}

/** Begin a check of everything, unless one is running. */
const BEGIN: Unsharded<VerifyRun> = {
  name: 'verifications_begin',
  ...timedUnsharded`
  with ${CLOCK}
  insert into verifications (scope, state, started_at, started_by, seen_at)
  select 'full', 'running', time, $2, time
  from clock
  on conflict (scope) where state = 'running' do nothing
  returning ${COLUMNS}`,
}

/** Say how far a check is. No row: it has ended, because somebody canceled it. */
const SEE: Unsharded<{ id: bigint }> = {
  name: 'verifications_see',
  ...timedUnsharded`
  with ${CLOCK}
  update verifications
  set seen_at = time, progress = $3::jsonb
  from clock
  where id = $2 and state = 'running'
  returning id`,
}

/** End a check before it has a result. */
const CANCEL: Unsharded<never> = {
  name: 'verifications_cancel',
  ...timedUnsharded`
  with ${CLOCK}
  update verifications
  set state = 'failed', error = $3, ended_at = time
  from clock
  where id = $2 and state = 'running'`,
}

/** End a check, and forget the oldest of its scope. */
const END: Unsharded<never> = {
  name: 'verifications_end',
  ...timedUnsharded`
  with ${CLOCK}, gone as (
    delete from verifications
    where id in (
      select id
      from verifications
      where scope = 'full'
      order by id desc
      offset ${String(KEPT_MAX)}
    )
  )
  update verifications
  set
    state = case when $3::jsonb is null then 'failed' else 'done' end,
    report = $3::jsonb, error = $4, ended_at = time
  from clock
  where id = $2 and state = 'running'`,
}

/**
 * Keep the newest check of what changed, whichever worker made it, in the place of the one before:
 * who has seen its id can read it.
 */
const KEEP_RECENT: Unsharded<never> = {
  name: 'verifications_keep_recent',
  ...timedUnsharded`
  with ${CLOCK}, place as (
    select max(id) as id
    from verifications
    where scope = 'recent'
  ), gone as (
    delete from verifications
    where scope = 'recent' and id < (select id from place)
  ), kept as (
    update verifications
    set started_at = $2, seen_at = time, ended_at = time, report = $3::jsonb
    from clock
    where id = (select place.id from place)
    returning verifications.id
  )
  insert into verifications
    (scope, state, started_at, started_by, seen_at, ended_at, report)
  select 'recent', 'done', $2, 'worker', time, time, $3::jsonb
  from clock
  where not exists (select from kept)`,
}

/** The checks that are kept, newest first. */
const LIST: Unsharded<VerifyRun> = {
  name: 'verifications_list',
  sharded: false,
  text: `
  select ${COLUMNS}
  from verifications
  order by started_at desc, id desc
  limit ${2 * KEPT_MAX}`,
}

const READ: Unsharded<VerifyRun> = {
  name: 'verifications_read',
  sharded: false,
  text: `
  select ${COLUMNS}
  from verifications
  where id = $1`,
}

/** The newest check of each scope that has ended in a result, and the one that runs. */
const NEWEST: Unsharded<VerifyRun> = {
  name: 'verifications_newest',
  sharded: false,
  text: `
  select distinct on (scope, state) ${COLUMNS}
  from verifications
  where state <> 'failed'
  order by scope, state, id desc`,
}

/** Begin a check of everything; null: one is running already. */
export async function beginRun(db: Global, by: string): Promise<VerifyRun | null> {
  await db.run(LOSE, [])
  const [run] = await db.run(BEGIN, [by])
  return run ?? null
}

/** Say how far a check is, and that it lives; false: it has ended. */
export async function seeRun(
  db: Global,
  id: bigint,
  progress: RunProgress | null,
): Promise<boolean> {
  const seen = await db.run(SEE, [id, progress === null ? null : JSON.stringify(progress)])
  return seen.length > 0
}

/** End a check that runs; the process that makes it stops when it next says that it lives. */
export async function cancelVerifyRun(
  db: Global,
  id: bigint,
  by: string,
): Promise<VerifyRun | null> {
  await db.run(CANCEL, [id, `canceled by ${by}`])
  return readVerifyRun(db, id)
}

/** End a check with its report, or with why there is none. */
export async function endRun(
  db: Global,
  id: bigint,
  ended: { readonly report: object } | { readonly error: string },
): Promise<void> {
  const report = 'report' in ended ? JSON.stringify(ended.report) : null
  await db.run(END, [id, report, 'error' in ended ? ended.error : null])
}

/** Keep what a worker found in what changed lately. */
export async function keepRecent(db: Global, startedAt: Date, report: object): Promise<void> {
  await db.run(KEEP_RECENT, [startedAt, JSON.stringify(report)])
}

/** Every check that is kept, newest first. */
export async function listRuns(db: Global): Promise<VerifyRun[]> {
  await db.run(LOSE, [])
  return db.run(LIST, [])
}

/** One check; null: there is none with this id. */
export async function readVerifyRun(db: Global, id: bigint): Promise<VerifyRun | null> {
  await db.run(LOSE, [])
  const [run] = await db.run(READ, [id])
  return run ?? null
}

/** The newest checks that have a result, of each scope, and the one that runs. */
export function newestRuns(db: Global): Promise<VerifyRun[]> {
  return db.run(NEWEST, [])
}
