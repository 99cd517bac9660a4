import { Busy, Unavailable, type Sequence, type Unsharded } from '../ports.ts'
import type { Driver, Numbers } from './shard-session.ts'

/** Take `$2` numbers of a sequence, in one text. */
const NUMBERS: Unsharded<{ numbers: string }> = {
  name: 'session_numbers',
  sharded: false,
  text: `
  select string_agg(nextval($1::regclass)::text, ',') as numbers
  from generate_series(1, $2::int)`,
}

type Name = Sequence | 'user_ids'

const NAMES: readonly Name[] = ['user_ids', 'payment_ids', 'dead_letter_ids', 'operator_act_ids']

/** Numbers of a block, unless more are waited for at once: about a second of the traffic. */
const BLOCK_MAX = 1_000
/** How long the numbers of a block are used, in milliseconds: so ids follow time. */
const BLOCK_MS = 1_000
/** Numbers of the reserve; each shard may use every one, because the shard is part of an id. */
const RESERVE = 5_000
/** From this age on a reserve is taken anew when numbers are, so that its ids are not too old. */
const RESERVE_MS = 600_000

interface World {
  /** Where the sequences are. */
  readonly home: Pick<Driver, 'run'>
  readonly elapsedMs: () => number
}

/** Numbers for ids of shards that are on several servers. */
interface IdBlocks extends Numbers {
  /** Take the reserves, so that the first ids can be given without the home side. */
  fill(): Promise<void>
}

/**
 * Give numbers from the sequences of the home side, which are taken in blocks of about a second of
 * this process's traffic. What is left of a block after a second is a gap, so that ids follow time
 * to a second or two over all servers. While the home side is away numbers are those of the block
 * in hand, and then of a reserve; when that is used up, it throws `Unavailable`.
 */
export function idBlocks(world: World): IdBlocks {
  const all = new Map(NAMES.map((name) => [name, blocksOf(world, name)]))
  const of = (name: Name) => all.get(name) as Blocks // There is one for each.
  return {
    take: (name, count, shard) => of(name).take(count, shard),
    async fill() {
      for (const blocks of all.values()) await blocks.fill()
    },
  }
}

type Blocks = ReturnType<typeof blocksOf>

/** The numbers of one sequence. */
function blocksOf({ home, elapsedMs }: World, name: Name) {
  const block = blockOf(elapsedMs)
  const reserve = reserveOf()
  let waiting = 0
  let filling: Promise<void> | null = null
  /** The last block was asked for in vain: until one has come, nobody waits for the next. */
  let away = false

  const ask = async (count: number): Promise<bigint[]> => {
    const [row] = await home.run(NUMBERS, [name, count])
    return (row?.numbers ?? '').split(',').map(BigInt)
  }
  const renew = async (): Promise<void> => reserve.put(await ask(RESERVE), elapsedMs())
  const refill = async (): Promise<void> => {
    try {
      block.put(await ask(Math.max(waiting, block.size())))
      away = false
      // Nobody waits for it, and what fails is tried again with the next block.
      if (reserve.isOld(elapsedMs())) renew().catch(() => undefined)
    } catch (error) {
      away = isOutage(error)
      throw error
    } finally {
      filling = null
    }
  }
  /** Rejects while the home side is away; who asks first waits for it, and then nobody does. */
  const more = (): Promise<void> => {
    const asked = (filling ??= refill())
    if (!away) return asked
    asked.catch(() => undefined)
    return Promise.reject(new Unavailable('the home side of the database is away'))
  }
  const take = async (count: number, shard: number | null): Promise<bigint[]> => {
    const taken = block.take(count)
    while (taken.length < count) {
      const left = count - taken.length
      waiting += left
      try {
        await more()
      } catch (error) {
        if (!isOutage(error)) throw error
        return inOrder([...taken, ...reserve.take(left, shard, error)])
      } finally {
        waiting -= left
      }
      taken.push(...block.take(left))
    }
    return taken
  }
  const fill = async (): Promise<void> => {
    if (reserve.isOld(elapsedMs())) await renew()
  }
  return { take, fill }
}

/** Whether there may be numbers again later. */
function isOutage(error: unknown): boolean {
  return error instanceof Unavailable || error instanceof Busy
}

/** The block in hand. */
function blockOf(elapsedMs: () => number) {
  let numbers: bigint[] = []
  let begunMs = 0
  /** Numbers given in this second, and in the one before. */
  let given = 0
  let before = 0
  /** What is left after a second is a gap. */
  const forgetOld = (): void => {
    if (elapsedMs() - begunMs < BLOCK_MS) return
    numbers = []
    before = given
    given = 0
    begunMs = elapsedMs()
  }
  return {
    /** How many numbers the next block is to have. */
    size: () => Math.min(BLOCK_MAX, Math.max(1, given, before)),
    put(taken: readonly bigint[]): void {
      forgetOld()
      numbers = [...numbers, ...taken]
    },
    take(count: number): bigint[] {
      forgetOld()
      const taken = numbers.splice(0, count)
      given += taken.length
      return taken
    },
  }
}

/** Numbers kept for when the home side is away. */
function reserveOf() {
  let numbers: readonly bigint[] = []
  let takenMs = Number.NEGATIVE_INFINITY
  /** How many of them each shard has used; null: users. */
  let used = new Map<number | null, number>()
  return {
    isOld: (nowMs: number) => used.size > 0 || nowMs - takenMs >= RESERVE_MS,
    put(taken: readonly bigint[], nowMs: number): void {
      numbers = taken
      takenMs = nowMs
      used = new Map()
    },
    take(count: number, shard: number | null, cause: unknown): readonly bigint[] {
      const from = used.get(shard) ?? 0
      if (from + count > numbers.length) {
        throw new Unavailable(
          'the home side of the database is away, and no ids are left in reserve',
          { cause },
        )
      }
      used.set(shard, from + count)
      return numbers.slice(from, from + count)
    },
  }
}

/** The reserve is older than the block in hand. */
function inOrder(numbers: readonly bigint[]): bigint[] {
  return numbers.toSorted((one, other) => (one < other ? -1 : 1))
}
