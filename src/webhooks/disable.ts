import { SILENT_MS } from '../domain/delivery.ts'
import { eachShard, partly } from '../each-shard.ts'
import type { Db } from '../ports.ts'
import { disableEndpoint } from './store.ts'
import { arrivedWithin } from './subscriptions-store.ts'
import { tellShards } from './sync.ts'
import { tellDisabled } from './tell-disabled.ts'

/** An endpoint as it was called. */
interface CalledAt {
  readonly id: bigint
  readonly url: string
}

interface DisablingWorld {
  readonly db: Db
  /** Told when an endpoint is not called any more, and why. */
  readonly onDisabled?: (endpointId: bigint, why: string) => void
}

/** Disable an endpoint that says that it is gone. */
export async function disableGone(world: DisablingWorld, called: CalledAt): Promise<void> {
  await disable(world, called, 'gone', null)
}

/** Disable an endpoint that has just given up a delivery, if nothing has arrived for a day. */
export async function disableSilent(world: DisablingWorld, called: CalledAt): Promise<void> {
  if (await isSilent(world.db, called.id)) await disable(world, called, 'silent', SILENT_MS)
}

/** Whether it is known that nothing arrived at an endpoint for a day, in any shard. */
async function isSilent(db: Db, id: bigint): Promise<boolean> {
  const arrived = await eachShard(db.shards, (shard) => arrivedWithin(shard, id, SILENT_MS))
  const { known, missing } = partly(arrived)
  return missing.length === 0 && !known.includes(true)
}

/**
 * Disable an endpoint if it is still where it was called and has been enabled for `enabledMs`, and
 * tell the others. What is on its way to it waits.
 */
async function disable(
  { db, onDisabled }: DisablingWorld,
  called: CalledAt,
  why: 'gone' | 'silent',
  enabledMs: number | null,
): Promise<void> {
  const endpoint = await disableEndpoint(db.global, called, why, enabledMs)
  if (endpoint === null) return
  onDisabled?.(called.id, why)
  await tellDisabled(db, endpoint)
  await tellShards(db)
}
