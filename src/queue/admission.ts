import type { Clock, Runner } from '../ports.ts'
import { oldestDueSeconds } from './store.ts'

/** Whether new work may be accepted. */
export interface Admission {
  open(): boolean
  stop(): Promise<void>
}

const LOOK_MS = 1_000

/**
 * Watch the age of the oldest due task and close when it passes `ageMsMax`: work that cannot be
 * started soon is better refused than accepted. By age and not by depth, because a deep queue that
 * moves is fine. Stays as it was while the database cannot be asked. 0 switches it off.
 */
export function startAdmission(world: {
  readonly db: Runner
  readonly clock: Clock
  readonly shards: number
  readonly ageMsMax: number
}): Admission {
  const stopping = new AbortController()
  let open = true
  const look = async () => {
    const at = world.clock.database()
    const ages = []
    for (let shard = 0; shard < world.shards; shard += 1) {
      ages.push(await oldestDueSeconds(world.db, shard, at))
    }
    open = Math.max(...ages) * 1_000 <= world.ageMsMax
  }
  const loop = async () => {
    while (!stopping.signal.aborted && world.ageMsMax > 0) {
      await look().catch(() => undefined)
      await world.clock.sleep(LOOK_MS, stopping.signal)
    }
  }
  const looping = loop()
  return {
    open: () => open,
    async stop() {
      stopping.abort()
      await looping
    },
  }
}
