import { numbers } from '../domain/columns.ts'
import { shardOf, type Grown } from '../domain/shard.ts'
import type { Kind, Places, Runner, Server, Shard, Unsharded } from '../ports.ts'

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

const LOOKS: Readonly<Record<Kind, Unsharded<Found>>> = {
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
 * that is nowhere is where an id of today would be; if a server could not be asked, nobody knows.
 */
export async function findOld(
  { grown, servers, shards }: Known,
  kind: Kind,
  ids: readonly bigint[],
): Promise<Places> {
  const old = [...new Set(ids.filter((id) => isOld(grown, id)))]
  const found = new Map<bigint, Shard>()
  let away: Shard | null = null
  if (old.length > 0) {
    const ends = await Promise.allSettled(
      servers.map((server) => lookOn(server, { kind, from: grown.from }, old)),
    )
    ends.forEach((end, index) => {
      if (end.status === 'rejected') away ??= failing(servers[index]?.first ?? 0, end.reason)
      else for (const { id, number } of end.value) found.set(id, shards[number] as Shard)
    })
  }
  return {
    of(id) {
      const own = found.get(id) ?? (isOld(grown, id) ? away : null)
      return own ?? (shards[shardOf(id, shards.length)] as Shard) // There is one for each.
    },
  }
}

function isOld({ below }: Grown, id: bigint): boolean {
  return id > 0n && id < below
}

async function lookOn(
  { driver, first, last }: Asked,
  { kind, from }: { readonly kind: Kind; readonly from: number },
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
