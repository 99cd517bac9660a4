import { systemClock } from '../adapters/clock.ts'
import { forgetNotices } from '../charging/notices-store.ts'
import { eachShard } from '../each-shard.ts'
import { forgetTraces } from '../payments/traces-store.ts'
import type { Db, Shard } from '../ports.ts'
import { every } from '../queue/every.ts'
import { forgetItems } from '../runs/store.ts'
import { dropOldEvents } from '../webhooks/drop-old-events.ts'
import type { Process } from './shared.ts'

/** How often what is old is forgotten, in milliseconds. */
const FORGET_MS = 600_000

/**
 * Forget what nobody needs any more, a bounded part at a time: to which traces old payments belong,
 * which items ended runs went through, notices of gateways, and events that are older than they are
 * kept.
 */
export function forgetOld({
  config,
  db,
  log,
  stops,
}: Pick<Process, 'config' | 'db' | 'log' | 'stops'>): void {
  const onError = (err: unknown) => log.warn({ err }, 'what is old could not be forgotten')
  const turn = forgettingTurn(db, config.eventsKeepDays, onError)
  const forgetting = every(systemClock, FORGET_MS, turn, onError)
  stops.push(() => forgetting.stop())
}

/**
 * Make the turn of it; true: there is more to forget. What is ill, the home side or a shard, is
 * told to `onError`, and keeps nobody else's back.
 */
export function forgettingTurn(
  db: Db,
  keepDays: number,
  onError: (error: unknown) => void,
): () => Promise<boolean> {
  const positions = new Map<number, bigint>()
  const forgetIn = async (shard: Shard): Promise<boolean> => {
    const after = positions.get(shard.number) ?? 0n
    const next = await dropOldEvents(shard, after, keepDays)
    // From the beginning again next time: what was on its way then may have arrived.
    positions.set(shard.number, next ?? 0n)
    const ofTraces = await forgetTraces(shard)
    const ofNotices = await forgetNotices(shard)
    return ofTraces || ofNotices || next !== null
  }
  const ofRuns = async (): Promise<boolean> => {
    try {
      return await forgetItems(db.global)
    } catch (error) {
      onError(error)
      return false
    }
  }
  return async () => {
    const { done, failed } = await eachShard(db.shards, forgetIn)
    for (const { error } of failed) onError(error)
    return (await ofRuns()) || done.some(({ value }) => value)
  }
}
