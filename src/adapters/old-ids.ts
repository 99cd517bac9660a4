import { numbers } from '../domain/array-parameters.ts'
import { shardOf, type Grown } from '../domain/shard.ts'
import {
  Overloaded,
  type IdKind,
  type Places,
  type Runner,
  type Server,
  type Shard,
  type Unsharded,
} from '../ports.ts'

/** Where an id was found. */
interface Found {
  readonly id: bigint
  readonly number: number
}

/**
 * Of ids `$4` those that have a row in a shard of a server, from `$1` to `$2`, and in which: the
 * rows say it themselves, so nothing else can say otherwise. A shard has come from the one of the
 * first `$3` that the id tells, so only those of that one are looked through, each by a key.
 */
const look = (row: string) => `
  select wanted.id, found.number
  from unnest($4::bigint[]) as wanted (id)
  cross join lateral (
    select asked.number
    from generate_series($1::int, $2::int) as asked (number)
    cross join lateral (
      ${row}
    ) there
    where (wanted.id - asked.number) % $3::int = 0
    limit 1
  ) found`

const PAYMENTS: Unsharded<Found> = {
  name: 'looks_old_payments',
  sharded: false,
  text: look('select from payments where shard = asked.number and id = wanted.id limit 1'),
}

const LETTERS: Unsharded<Found> = {
  name: 'looks_old_letters',
  sharded: false,
  text: look('select from dead_letters where shard = asked.number and id = wanted.id limit 1'),
}

/** Deliveries of an event may be there when it is not any more. */
const EVENTS: Unsharded<Found> = {
  name: 'looks_old_events',
  sharded: false,
  text: look(`
      select
      from (
        select from events where shard = asked.number and id = wanted.id
        union all
        select from deliveries where shard = asked.number and event_id = wanted.id
      ) any_of_it
      limit 1`),
}

const LOOKS: Readonly<Record<IdKind, Unsharded<Found>>> = {
  payment: PAYMENTS,
  letter: LETTERS,
  event: EVENTS,
}

/** Ids of one statement; so many are looked for in half a second. */
const IDS_MAX = 500

/** A server, and how it is asked. */
type Asked = Server & { readonly driver: Runner }

/** Where everything else is, which the ids tell. */
interface Known {
  readonly grown: Grown
  readonly servers: readonly Asked[]
  readonly shards: readonly Shard[]
}

/**
 * Look for ids that were given before the database got more shards, on all servers at once. An id
 * that is nowhere is where an id of today would be; if a shard where it may be could not be asked,
 * nobody knows.
 */
export async function findOld(
  { grown, servers, shards }: Known,
  kind: IdKind,
  ids: readonly bigint[],
): Promise<Places> {
  const old = [...new Set(ids.filter((id) => isOld(grown, id)))]
  const looks = await Promise.all(
    old.length === 0
      ? []
      : servers.map((server) => lookOn(server, { kind, from: grown.from }, old)),
  )
  const all = looks.flatMap(({ found }) => found)
  const found = new Map(all.map(({ id, number }) => [id, shards[number] as Shard]))
  const failed = looks.flatMap((each) => each.failed)
  const perhaps = (id: bigint) =>
    isOld(grown, id)
      ? failed.find(({ number }) => number % grown.from === shardOf(id, grown.from))
      : undefined
  return {
    of(id) {
      const known = found.get(id) ?? perhaps(id)
      return known ?? (shards[shardOf(id, shards.length)] as Shard) // There is one for each.
    },
  }
}

function isOld({ below }: Grown, id: bigint): boolean {
  return id > 0n && id < below
}

/** What a look came to: what was found, and shards that could not be asked. */
interface Look {
  readonly found: readonly Found[]
  readonly failed: readonly Shard[]
}

/**
 * Ask one server. Where that fails, its halves are asked for what is not found yet, so that one
 * shard that cannot be read hides nothing of the others that are beside it.
 */
async function lookOn(
  server: Asked,
  wanted: { readonly kind: IdKind; readonly from: number },
  ids: readonly bigint[],
): Promise<Look> {
  const { driver, first, last } = server
  try {
    return { found: await ask(server, wanted, ids), failed: [] }
  } catch (error) {
    if (first === last || error instanceof Overloaded) {
      const all = Array.from({ length: last - first + 1 }, (_, index) => first + index)
      return { found: [], failed: all.map((number) => failing(number, error)) }
    }
    const middle = Math.floor((first + last) / 2)
    const one = await lookOn({ driver, first, last: middle }, wanted, ids)
    const known = new Set(one.found.map(({ id }) => id))
    const left = ids.filter((id) => !known.has(id))
    if (left.length === 0) return one
    const other = await lookOn({ driver, first: middle + 1, last }, wanted, left)
    return { found: [...one.found, ...other.found], failed: [...one.failed, ...other.failed] }
  }
}

async function ask(
  { driver, first, last }: Asked,
  { kind, from }: { readonly kind: IdKind; readonly from: number },
  ids: readonly bigint[],
): Promise<Found[]> {
  const found: Found[] = []
  for (let done = 0; done < ids.length; done += IDS_MAX) {
    const part = numbers(ids.slice(done, done + IDS_MAX))
    found.push(...(await driver.run(LOOKS[kind], [first, last, from, part])))
  }
  return found
}

/** A shard of which nobody knows which it is: whatever is asked of it fails with the reason. */
function failing(number: number, reason: unknown): Shard {
  const fail = () => Promise.reject(reason as Error)
  return { number, run: fail, transaction: fail }
}
