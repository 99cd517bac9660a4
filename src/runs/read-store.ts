import type { Global, Unsharded } from '../ports.ts'
import { RUN_COLUMNS, type Run, type RunKey } from './store.ts'

/** Read a run of letters, or one of the events of an endpoint. */
const READ: Unsharded<Run> = {
  name: 'redrives_read',
  sharded: false,
  text: `
  select ${RUN_COLUMNS}
  from redrives
  where id = $1 and endpoint_id is not distinct from $2::bigint`,
}

/** The newest runs of the events of an endpoint that were started, newest first. */
const OF_ENDPOINT: Unsharded<Run> = {
  name: 'redrives_of_endpoint',
  sharded: false,
  text: `
  select ${RUN_COLUMNS}
  from redrives
  where endpoint_id = $1 and started_at is not null
  order by id desc
  limit $2`,
}

/** The run that was started under a key. */
const STARTED: Unsharded<Run> = {
  name: 'redrives_started',
  sharded: false,
  text: `
  select ${RUN_COLUMNS}
  from redrives
  where api_key = $1 and key = $2`,
}

/** What the oldest runs of an endpoint that were started are still to send to it. */
const WAITING: Unsharded<{ ids: readonly string[] }> = {
  name: 'redrives_waiting',
  sharded: false,
  text: `
  select event_ids[position + 1 :] as ids
  from redrives
  where endpoint_id = $1 and state = 'replaying'
  order by id
  limit $2`,
}

/** Read a run of letters, or of the events of an endpoint; null when there is none. */
export async function readRun(
  db: Global,
  id: bigint,
  endpointId: bigint | null = null,
): Promise<Run | null> {
  const [run] = await db.run(READ, [id, endpointId])
  return run ?? null
}

/** Runs of an endpoint that are listed. */
const LISTED_MAX = 100

/** The newest runs of the events of an endpoint, newest first. */
export function runsOfEndpoint(db: Global, endpointId: bigint): Promise<Run[]> {
  return db.run(OF_ENDPOINT, [endpointId, LISTED_MAX])
}

/** Runs of an endpoint that are read for what they are still to send, of up to 100,000 events. */
const WAITING_MAX = 10

/** The events that replays of an endpoint are still to send to it. */
export async function waitingInRuns(db: Global, endpointId: bigint): Promise<Set<bigint>> {
  const runs = await db.run(WAITING, [endpointId, WAITING_MAX])
  return new Set(runs.flatMap(({ ids }) => ids.map(BigInt)))
}

/** The run that was started under a key; null: none was. */
export async function runStarted(db: Global, { apiKey, key }: RunKey): Promise<Run | null> {
  const [run] = await db.run(STARTED, [apiKey, key])
  return run ?? null
}
