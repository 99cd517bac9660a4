import {
  Busy,
  CommitUnknown,
  Overloaded,
  Unavailable,
  type Db,
  type IdKind,
  type Places,
  type Server,
  type Shard,
} from './ports.ts'

/** What became of work on several shards: of each what it gave, or why it failed. */
export interface PerShard<Value> {
  readonly done: readonly { readonly shard: Shard; readonly value: Value }[]
  readonly failed: readonly { readonly shard: Shard; readonly error: unknown }[]
}

/** Do something on every shard, side by side. A shard that fails takes no other's result along. */
export async function eachShard<Value>(
  shards: readonly Shard[],
  work: (shard: Shard) => Promise<Value>,
): Promise<PerShard<Value>> {
  const ends = await Promise.allSettled(shards.map(work))
  const done: { shard: Shard; value: Value }[] = []
  const failed: { shard: Shard; error: unknown }[] = []
  ends.forEach((end, index) => {
    const shard = shards[index] as Shard
    if (end.status === 'fulfilled') done.push({ shard, value: end.value })
    else failed.push({ shard, error: end.reason as unknown })
  })
  return { done, failed }
}

/**
 * The same one after the other, for work that is to load the database with one shard at a time, or
 * that depends on what the shards before it came to.
 */
export async function eachInTurn<Value>(
  shards: readonly Shard[],
  work: (shard: Shard) => Promise<Value>,
): Promise<PerShard<Value>> {
  const done: { shard: Shard; value: Value }[] = []
  const failed: { shard: Shard; error: unknown }[] = []
  for (const shard of shards) {
    try {
      done.push({ shard, value: await work(shard) })
    } catch (error) {
      failed.push({ shard, error })
    }
  }
  return { done, failed }
}

/** What all shards gave. Throws why one failed: for what is no answer unless it is whole. */
export function whole<Value>({ done, failed }: PerShard<Value>): Value[] {
  for (const { error } of failed) throw error
  return done.map(({ value }) => value)
}

/**
 * Do what is left to do of a change that is stored, such as tell the shards, or read what is to be
 * shown. Where the database cannot do that, it throws `CommitUnknown`: every other fault of it says
 * that nothing was done.
 */
export async function onceStored<Value>(work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    const kinds = [Unavailable, Busy, Overloaded]
    if (!kinds.some((kind) => error instanceof kind)) throw error
    throw new CommitUnknown('the change is stored, and what follows it failed', { cause: error })
  }
}

/** What could be known, and the numbers of the shards that could not be asked. */
export interface Partly<Value> {
  readonly known: readonly Value[]
  readonly missing: readonly number[]
}

/**
 * What those shards gave that could be asked: for what is of use without the others, and says which
 * they are. Throws where none could be asked, and where it is not the shard's doing.
 */
export function partly<Value>({ done, failed }: PerShard<Value>): Partly<Value> {
  for (const { error } of failed) if (done.length === 0 || error instanceof Overloaded) throw error
  return {
    known: done.map(({ value }) => value),
    missing: failed.map(({ shard }) => shard.number),
  }
}

/**
 * Ask every shard; of one that cannot be asked, tell what it told last. Throws where one has never
 * told anything, and where none can be asked.
 */
export function lastKnown<Value>(
  work: (shard: Shard) => Promise<Value>,
): (shards: readonly Shard[]) => Promise<Value[]> {
  const told = new Map<number, Value>()
  return async (shards) => {
    const { done, failed } = await eachShard(shards, work)
    for (const { shard, value } of done) told.set(shard.number, value)
    for (const { shard, error } of failed) {
      if (done.length === 0 || !told.has(shard.number)) throw error
    }
    return shards.map(({ number }) => told.get(number) as Value) // Each has told something.
  }
}

/**
 * Do something with items where they live, shard by shard: those of one shard are one batch, and
 * the shards come in the order of their first item.
 */
export function eachPart<Item, Value>(
  places: Places,
  items: readonly Item[],
  idOf: (item: Item) => bigint,
  work: (shard: Shard, part: Item[]) => Promise<Value>,
): Promise<PerShard<Value>> {
  const parts = new Map<Shard, Item[]>()
  for (const item of items) {
    const shard = places.of(idOf(item))
    const part = parts.get(shard)
    if (part === undefined) parts.set(shard, [item])
    else part.push(item)
  }
  return eachInTurn([...parts.keys()], (shard) => work(shard, parts.get(shard) ?? []))
}

/**
 * Answer items where they live: N items in, N answers out, in order. `work` gives those of a shard
 * in the order of its part. Throws why a shard failed, after all others have been answered.
 */
export async function answeredByShard<Item, Answer>(
  places: Places,
  items: readonly Item[],
  idOf: (item: Item) => bigint,
  work: (shard: Shard, part: Item[]) => Promise<readonly Answer[]>,
): Promise<Answer[]> {
  const numbered = items.map((item, place) => ({ item, place }))
  const answers: Answer[] = []
  const parts = await eachPart(
    places,
    numbered,
    ({ item }) => idOf(item),
    async (shard, part) => {
      const given = await work(
        shard,
        part.map(({ item }) => item),
      )
      part.forEach(({ place }, index) => (answers[place] = given[index] as Answer)) // One for each.
    },
  )
  whole(parts)
  return answers
}

/** The shard of one payment, letter or event, of which nothing but its id is known. */
export async function shardWith(db: Db, kind: IdKind, id: bigint): Promise<Shard> {
  return (await db.find(kind, [id])).of(id)
}

/** Does something on a server once for all of its shards, by way of any of them. */
type ServerWork<Value> = (session: Shard, server: Server) => Promise<Value>

/**
 * Do something on every server, one after the other: what one statement does for many shards, or
 * has to, because the shards change together.
 */
export function eachServer<Value>(
  db: Pick<Db, 'servers' | 'shards'>,
  work: ServerWork<Value>,
): Promise<PerShard<Value>> {
  const { shards, servers } = db
  const first = servers.map((server) => shards[server.first] as Shard)
  return eachInTurn(first, (session) => work(session, serverOf(db, session)))
}

/**
 * Ask every server once for all of its shards. Where that fails, its halves are asked, so that one
 * shard that cannot be read takes along none of the others that are beside it. Throws as `partly`
 * does.
 */
export async function partlyByServer<Value>(
  db: Pick<Db, 'servers' | 'shards'>,
  work: ServerWork<Value>,
): Promise<Partly<Value>> {
  const known: Value[] = []
  const missing: number[] = []
  let why: unknown
  const left = [...db.servers]
  for (let range = left.shift(); range !== undefined; range = left.shift()) {
    const { first, last } = range
    try {
      known.push(await work(db.shards[first] as Shard, range)) // Any is a way to the server.
    } catch (error) {
      if (error instanceof Overloaded) throw error
      why = error
      const middle = Math.floor((first + last) / 2)
      if (first === last) missing.push(first)
      else left.unshift({ first, last: middle }, { first: middle + 1, last })
    }
  }
  if (known.length === 0) throw why
  return { known, missing }
}

function serverOf({ servers }: Pick<Db, 'servers'>, { number }: Shard): Server {
  const holds = ({ first, last }: Server) => first <= number && number <= last
  return servers.find(holds) as Server // One has it.
}

/** Asks a server once which of all its shards have work; gives their numbers. */
export type LookForWork = ServerWork<readonly number[]>

/** Fewer shards are asked themselves, which costs no more than a look at them. */
const LOOKED_AT_MIN = 4

/**
 * Leave out shards that have no work, with one statement for each server instead of one for each
 * shard. `without` are those that have none; those of a server that cannot be looked at are asked,
 * and say why.
 */
export async function withWork(
  db: Pick<Db, 'servers' | 'shards'>,
  shards: readonly Shard[],
  look: LookForWork,
): Promise<{ readonly asked: readonly Shard[]; readonly without: readonly Shard[] }> {
  if (shards.length < LOOKED_AT_MIN) return { asked: shards, without: [] }
  const [server] = db.servers
  if (server !== undefined && db.servers.length === 1) {
    const found = await lookAt(db, server, look).catch(() => null)
    if (found === null) return { asked: shards, without: [] }
    // As nearly always: nothing is made for each shard then.
    if (found.size === 0) return { asked: [], without: shards }
    const has = ({ number }: Shard) => found.has(number)
    return { asked: shards.filter(has), without: shards.filter((shard) => !has(shard)) }
  }
  const rangeOf = (shard: Shard) => serverOf(db, shard)
  const ranges = [...new Set(shards.map(rangeOf))]
  const { done } = await eachShard(
    ranges.map(({ first }) => db.shards[first] as Shard),
    (session) => lookAt(db, rangeOf(session), look),
  )
  const found = new Map(done.map(({ shard, value }) => [rangeOf(shard), value]))
  const isWithout = (shard: Shard) => found.get(rangeOf(shard))?.has(shard.number) === false
  return {
    asked: shards.filter((shard) => !isWithout(shard)),
    without: shards.filter(isWithout),
  }
}

/** The shards of a server that a look finds to have work; any shard of it is a way to it. */
async function lookAt(
  { shards }: Pick<Db, 'shards'>,
  server: Server,
  look: LookForWork,
): Promise<ReadonlySet<number>> {
  return new Set(await look(shards[server.first] as Shard, server))
}

/** Something of its own for each shard, found by the id of what lives there. */
interface OfEach<Value> {
  of(id: bigint): Value
  readonly all: readonly Value[]
}

/** Make something of its own for each shard, such as a queue. */
export function ofEachShard<Value>(db: Db, make: (shard: Shard) => Value): OfEach<Value> {
  const all = db.shards.map(make)
  return { all, of: (id) => all[db.of(id).number] as Value } // There is one for each.
}

/** The shards in their order, beginning with that at `first`: so that none is always the first. */
export function beginningAt(shards: readonly Shard[], first: number): Shard[] {
  return [...shards.slice(first), ...shards.slice(0, first)]
}

/** The database with each of its shards changed, such as for a share of its connections. */
export function withShards(db: Db, change: (shard: Shard) => Shard): Db {
  const { all, of } = ofEachShard(db, change)
  return {
    ...db,
    shards: all,
    of,
    async find(kind, ids) {
      const places = await db.find(kind, ids)
      return {
        of(id) {
          const shard = places.of(id)
          // One that nobody knows is none of them, and fails as it is.
          return db.shards[shard.number] === shard ? (all[shard.number] as Shard) : shard
        },
      }
    },
  }
}
