import { CLOCK, timedUnsharded, type Global, type Unsharded } from '../ports.ts'

/** A process as it says of itself. */
export interface Described {
  readonly id: string
  readonly role: string
  readonly version: string
  readonly host: string
  readonly pid: number
}

/** A process of the service. */
interface ProcessSeen extends Described {
  readonly startedAt: Date
  readonly seenAt: Date
  /** It has said so lately. */
  readonly alive: boolean
}

/** Say that a process lives, and forget those that have not for a day. */
const BEAT: Unsharded<never> = {
  name: 'processes_beat',
  ...timedUnsharded`
  with ${CLOCK}, gone as (
    delete from processes
    where seen_at < (select time from clock) - interval '1 day' and id <> $2
  )
  insert into processes (id, role, version, host, pid, started_at, seen_at)
  select $2, $3, $4, $5, $6, time, time
  from clock
  on conflict (id) do update set seen_at = excluded.seen_at`,
}

const LEAVE: Unsharded<never> = {
  name: 'processes_leave',
  sharded: false,
  text: `
  delete from processes
  where id = $1`,
}

/** A process that lives says so several times within this. */
const ALIVE = `interval '30 seconds'`

/** Processes of the last day, those that began last first. */
const LIST: Unsharded<ProcessSeen> = {
  name: 'processes_list',
  ...timedUnsharded`
  with ${CLOCK}
  select
    id, role, version, host, pid, started_at as "startedAt", seen_at as "seenAt",
    seen_at > time - ${ALIVE} as alive
  from clock, processes
  order by started_at desc, id
  limit 1000`,
}

/** Say that a process lives. */
export async function beat(db: Global, about: Described): Promise<void> {
  await db.run(BEAT, [about.id, about.role, about.version, about.host, about.pid])
}

/** A process ends. */
export async function leave(db: Global, id: string): Promise<void> {
  await db.run(LEAVE, [id])
}

/** The processes of the last day. */
export function listProcesses(db: Global): Promise<ProcessSeen[]> {
  return db.run(LIST, [])
}
