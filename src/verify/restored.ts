import { eachInTurn, whole } from '../each-shard.ts'
import type { Db, Shard } from '../ports.ts'
import { markRecovered, restoreOf, type Restored } from './restores-store.ts'

/** How it was found that a restored database can be used. */
interface Recovered {
  readonly actor: string
  /** Charges at the gateways that the books lack; null: not compared with all of them. */
  readonly lost: number | null
  /** Why they were accepted; null: there is nothing to accept. */
  readonly reason: string | null
}

/** A session of each server that holds shards: the home side may be one of them. */
function sessionsOf({ servers, shards }: Pick<Db, 'servers' | 'shards'>): Shard[] {
  return servers.flatMap(({ first }) => shards[first] ?? [])
}

/**
 * The restore of any server that is not recovered, of several the oldest moment, behind which all
 * is uncertain; null: there is none.
 */
export async function openRestore(
  db: Pick<Db, 'global' | 'servers' | 'shards'>,
): Promise<Restored | null> {
  const others = whole(await eachInTurn(sessionsOf(db), restoreOf))
  const all = [await restoreOf(db.global), ...others].filter((one) => one !== null)
  const [oldest] = all.toSorted((one, other) => one.backupAt.getTime() - other.backupAt.getTime())
  return oldest ?? null
}

/** Let all servers be used. The home side comes last, so what is cut short is done again. */
export async function closeRestore(db: Db, { actor, lost, reason }: Recovered): Promise<void> {
  const mark = (server: Pick<Db['global'], 'run'>) => markRecovered(server, actor, lost, reason)
  whole(await eachInTurn(sessionsOf(db), mark))
  await mark(db.global)
}
