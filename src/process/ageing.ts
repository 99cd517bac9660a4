import { systemClock } from '../adapters/clock.ts'
import { eachShard } from '../each-shard.ts'
import { forgetTraces } from '../payments/traces-store.ts'
import { every } from '../queue/every.ts'
import { forgetItems } from '../runs/store.ts'
import type { Process } from './shared.ts'

/** How often what is old is forgotten, in milliseconds. */
const FORGET_MS = 600_000

/**
 * Forget what nobody needs any more, a bounded part at a time: to which traces old payments belong,
 * and which items ended runs went through.
 */
export function forgetOld({ db, log, stops }: Pick<Process, 'db' | 'log' | 'stops'>): void {
  const onError = (err: unknown) => log.warn({ err }, 'what is old could not be forgotten')
  const turn = async () => {
    const ofRuns = await forgetItems(db.global)
    const { done, failed } = await eachShard(db.shards, forgetTraces)
    for (const { error } of failed) onError(error)
    return ofRuns || done.some(({ value }) => value)
  }
  const forgetting = every(systemClock, FORGET_MS, turn, onError)
  stops.push(() => forgetting.stop())
}
