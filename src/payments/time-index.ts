import type { Clock, Db } from '../ports.ts'
import { every } from '../queue/every.ts'
import { eachInTurn, ofEachShard, whole } from '../each-shard.ts'
import { noteMinutes, type Minute } from './time-index-store.ts'

/** How often what was accepted is noted, in milliseconds. */
const NOTE_MS = 1_000
const MINUTE_MS = 60_000
/** Minutes kept while the database cannot be reached; older ones are found all the same. */
const MINUTES_MAX = 1_000

/** Notes in which minutes which ids were accepted, so that a list of a time is a range of ids. */
interface Minutes {
  /** Told of the payments of each batch of a shard, in any order. */
  accepted(payments: readonly { readonly id: bigint }[]): void
  /** Note now what was not noted yet. */
  flush(): Promise<void>
  stop(): Promise<void>
}

/**
 * Note minutes once a second, apart from accepting: a row that every batch widened would make them
 * wait for each other. A process that is killed loses a second of it; `idsOfTime` reads beyond.
 */
export function startMinutes({ db, clock }: { readonly db: Db; readonly clock: Clock }): Minutes {
  const noted = ofEachShard(db, (shard) => ({ shard, minutes: new Map<number, Minute>() }))
  const add = ({ minuteMs, idMin, idMax }: Minute): void => {
    const { minutes } = noted.of(idMin)
    if (minutes.size >= MINUTES_MAX && !minutes.has(minuteMs)) return
    const known = minutes.get(minuteMs) ?? { minuteMs, idMin, idMax }
    const low = idMin < known.idMin ? idMin : known.idMin
    const high = idMax > known.idMax ? idMax : known.idMax
    minutes.set(minuteMs, { minuteMs, idMin: low, idMax: high })
  }
  const flush = async (): Promise<void> => {
    const fresh = new Map(
      noted.all.filter(({ minutes }) => minutes.size > 0).map((one) => [one.shard, one.minutes]),
    )
    const done = await eachInTurn([...fresh.keys()], async (shard) => {
      const minutes = [...(fresh.get(shard)?.values() ?? [])]
      fresh.get(shard)?.clear()
      try {
        await noteMinutes(shard, minutes)
      } catch (error) {
        minutes.forEach(add)
        throw error
      }
    })
    whole(done)
  }
  const flushing = every(clock, NOTE_MS, flush)
  return {
    accepted(payments) {
      const minuteMs = Math.floor(clock.now().getTime() / MINUTE_MS) * MINUTE_MS
      for (const { id } of payments) add({ minuteMs, idMin: id, idMax: id })
    },
    flush,
    async stop() {
      await flushing.stop()
      // What is lost here is read around, as what a killed process lost.
      await flush().catch(() => undefined)
    },
  }
}
