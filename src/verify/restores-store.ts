import { CLOCK, timedUnsharded, type Db, type Unsharded } from '../ports.ts'

/** That a server was restored, and not recovered since. */
export interface Restored {
  /** The moment that its backup is of. */
  readonly backupAt: Date
  readonly restoredAt: Date
}

/** A restore that is not recovered: of several the oldest moment, behind which all is uncertain. */
const OPEN: Unsharded<Restored> = {
  name: 'restores_open',
  sharded: false,
  text: `
  select backup_at as "backupAt", restored_at as "restoredAt"
  from restores
  where recovered_at is null
  order by backup_at
  limit 1`,
}

/** From now on the database can be used. */
const RECOVER: Unsharded<never> = {
  name: 'restores_recover',
  ...timedUnsharded`
  with ${CLOCK}
  update restores
  set recovered_at = time, recovered_by = $2, lost = $3::int, reason = $4
  from clock
  where recovered_at is null`,
}

/** The home side, or a server of shards. */
type Server = Pick<Db['global'], 'run'>

/** The restore of one server that is not recovered; null: there is none. */
export async function restoreOf(server: Server): Promise<Restored | null> {
  const [restored = null] = await server.run(OPEN, [])
  return restored
}

/** Let one server be used. `lost`: charges that its books lack, null where nobody compared. */
export async function markRecovered(
  server: Server,
  actor: string,
  lost: number | null,
  reason: string | null,
): Promise<void> {
  await server.run(RECOVER, [actor, lost, reason])
}
