import { CLOCK, timedUnsharded, type Db, type Shard, type Unsharded } from '../ports.ts'
import { eachInTurn, whole } from '../each-shard.ts'

/** That a server was restored, and not recovered since. */
export interface Restored {
  /** The moment that its backup is of. */
  readonly backupAt: Date
  readonly restoredAt: Date
}

/** How it was found that a restored database can be used. */
export interface Recovered {
  readonly actor: string
  /** Charges at the gateways that the books lack; null: not compared with all of them. */
  readonly lost: number | null
  /** Why they were accepted; null: there is nothing to accept. */
  readonly reason: string | null
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

/** A session of each server that holds shards: the home side may be one of them. */
function sessionsOf({ servers, shards }: Pick<Db, 'servers' | 'shards'>): Shard[] {
  return servers.flatMap(({ first }) => shards[first] ?? [])
}

/** The restore of any server that is not recovered; null: there is none. */
export async function openRestore(
  db: Pick<Db, 'global' | 'servers' | 'shards'>,
): Promise<Restored | null> {
  const found = await db.global.run(OPEN, [])
  const others = whole(await eachInTurn(sessionsOf(db), (session) => session.run(OPEN, [])))
  const all = [...found, ...others.flat()]
  const [oldest] = all.toSorted((one, other) => one.backupAt.getTime() - other.backupAt.getTime())
  return oldest ?? null
}

/** Let all servers be used. The home side comes last, so what is cut short is done again. */
export async function closeRestore(db: Db, { actor, lost, reason }: Recovered): Promise<void> {
  const values = [actor, lost, reason]
  whole(await eachInTurn(sessionsOf(db), (session) => session.run(RECOVER, values)))
  await db.global.run(RECOVER, values)
}
