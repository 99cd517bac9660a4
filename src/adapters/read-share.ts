import { Overloaded, type Db } from '../ports.ts'
import { withShards } from '../each-shard.ts'

/**
 * A share of the database's connections for reading lists: at most `runningMax` statements at a
 * time, further ones wait in order, and beyond `waitingMax` they are refused with `Overloaded`. So
 * however many people page through lists, the other connections are left to what moves money.
 */
export function readShare(
  db: Db,
  { runningMax, waitingMax }: { readonly runningMax: number; readonly waitingMax: number },
): Db {
  let running = 0
  const waiting: (() => void)[] = []
  const enter = async (): Promise<void> => {
    if (running < runningMax) return void (running += 1)
    if (waiting.length >= waitingMax) throw new Overloaded()
    // Whoever leaves hands over the place, so that `running` is right at every moment.
    await new Promise<void>((resolve) => waiting.push(resolve))
  }
  const leave = (): void => {
    const next = waiting.shift()
    if (next === undefined) running -= 1
    else next()
  }
  const inTurn = async <T>(read: () => Promise<T>): Promise<T> => {
    await enter()
    try {
      return await read()
    } finally {
      leave()
    }
  }
  return withShards(db, (shard) => ({
    ...shard,
    run: (statement, values) => inTurn(() => shard.run(statement, values)),
    transaction: (work, lockMs) => inTurn(() => shard.transaction(work, lockMs)),
  }))
}
