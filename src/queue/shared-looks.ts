import type { LookForWork } from '../each-shard.ts'
import type { Clock, Server, Shard } from '../ports.ts'

/** A shard that has work of a loop. */
interface WorkThere<Loop> {
  readonly loop: Loop
  readonly number: number
}

/** Looks for work that are made for several loops together. */
export interface SharedLooks<Loop> {
  /** Look for work of one of them. */
  of(loop: Loop): LookForWork
  /** There may be work since: what was seen is not used any more. */
  forget(): void
  /** Chance in [0, 1) that is the same for all loops from one look to the next. */
  random(): number
}

interface Look<Loop> {
  readonly beganMs: number
  readonly found: Promise<readonly WorkThere<Loop>[]>
  readonly usedBy: Set<Loop>
}

/** Looks at a server for work of a loop; null: of every loop. */
type LookFor<Loop> = (
  session: Shard,
  server: Server,
  loop: Loop | null,
) => Promise<readonly WorkThere<Loop>[]>

/**
 * Let several loops look at a server with one statement. A loop is told what was seen for another
 * one up to `freshMs` milliseconds before, once; the next time it looks itself, and the others are
 * told what it saw. Loops that rest equally long, by `random`, so come to look together. One that
 * has just found work looks for itself alone, because it does so at every turn.
 */
export function sharedLooks<Loop>(
  world: { readonly clock: Clock; readonly random: () => number; readonly freshMs: number },
  look: LookFor<Loop>,
): SharedLooks<Loop> {
  const { clock, freshMs } = world
  const looks = new Map<number, Look<Loop>>()
  const busy = new Set<Loop>()
  let chance = world.random()

  const seen = (loop: Loop, session: Shard, server: Server): Look<Loop> => {
    const last = looks.get(server.first)
    const isFresh = last !== undefined && clock.elapsedMs() - last.beganMs <= freshMs
    if (isFresh && !last.usedBy.has(loop)) return last
    chance = world.random()
    const made: Look<Loop> = {
      beganMs: clock.elapsedMs(),
      found: look(session, server, null),
      usedBy: new Set(),
    }
    looks.set(server.first, made)
    // What failed says nothing to others; whoever waits for it is told.
    made.found.catch(() => {
      if (looks.get(server.first) === made) looks.delete(server.first)
    })
    return made
  }

  const told = (loop: Loop, session: Shard, server: Server) => {
    const { found, usedBy } = seen(loop, session, server)
    usedBy.add(loop)
    return found
  }

  return {
    of: (loop) => async (session, server) => {
      const found = await (busy.has(loop)
        ? look(session, server, loop)
        : told(loop, session, server))
      const there = found.filter((one) => one.loop === loop).map(({ number }) => number)
      if (there.length > 0) busy.add(loop)
      else busy.delete(loop)
      return there
    },
    forget: () => looks.clear(),
    random: () => chance,
  }
}
