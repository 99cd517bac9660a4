import type { Server } from '../ports.ts'

/** How many shards there are and will be: a multiple, so each new one comes from one old one. */
export interface Division {
  readonly from: number
  readonly to: number
}

/** Rows of one table that are copied together. */
export interface Part {
  /** The old shard that they are in. */
  readonly at: number
  /** The shards of the server that they go to. */
  readonly server: Server
  /** Of rows that are cut into ranges: keys above `after`, up to `upTo`; null: no end. */
  readonly after: bigint | null
  readonly upTo: bigint | null
}

/** A table, and how its rows are told to their new shards. */
export interface Moved {
  readonly table: string
  /** The number by which its rows are cut into ranges; null: those of a shard are one. */
  readonly key: string | null
  /** The rows of a part; `columns` are those of the table but its shard, as SQL names them. */
  readonly select: (columns: readonly string[], part: Part, division: Division) => string
  /**
   * Which rows of the table `t` are copied; null: they are made anew, and are not the same.
   * Everything else is compared when all is done.
   */
  readonly compared: ((division: Division) => string) | null
}

const ALL = () => 'true'

/** How the rows of a table that has a shard are found. */
interface Owned {
  /** The new shard of the row `t`, in SQL; null in SQL: the one that it is in. */
  readonly place: (division: Division) => string
  readonly join?: string
  readonly only?: (division: Division) => string
}

function moved(table: string, key: string | null, { place, join = '', only = ALL }: Owned): Moved {
  return {
    table,
    key,
    compared: only,
    select(columns, { at, server, after, upTo }, division) {
      const range = [
        ...(key === null || after === null ? [] : [`t.${key} > ${after}`]),
        ...(key === null || upTo === null ? [] : [`t.${key} <= ${upTo}`]),
      ]
      return `
  select *
  from (
    select coalesce(${place(division)}, t.shard)::int as shard, ${listed(columns)}
    from ${table} t ${join}
    where ${[`t.shard = ${at}`, ...range, only(division)].join(' and ')}
  ) placed
  where shard between ${server.first} and ${server.last}`
    },
  }
}

function listed(columns: readonly string[]): string {
  return columns.map((column) => `t.${column}`).join(', ')
}

/** Rows of a user, which live where the user does: the id says where. */
function ofUser(table: string, key: string, user = 'user_id'): Moved {
  return moved(table, key, { place: ({ to }) => `mod(t.${user}, ${to})` })
}

/** Rows of a payment, which live where its user does. */
function ofPayment(table: string, key: string | null, payment = 't.payment_id'): Moved {
  return moved(table, key, {
    place: ({ to }) => `mod(p.user_id, ${to})`,
    join: `left join payments p on p.shard = t.shard and p.id = ${payment}`,
  })
}

/** The number of a key's text that tells its shard, as `shardOfText` takes it. */
const KEY_NUMBER = `('x' || substr(
      encode(sha256(convert_to(t.api_key || ' ' || t.key, 'UTF8')), 'hex'), 1, 12
    ))::bit(48)::bigint`

/**
 * Keys of openings are where their texts say. One that was reserved for a user who was never opened
 * is left behind: nobody was told of that id, and the request again takes the key anew.
 */
const USER_KEYS = moved('user_keys', null, {
  place: ({ to }) => `mod(${KEY_NUMBER}, ${to})`,
  only: ({ from }) =>
    `exists (select from users u where u.shard = mod(t.user_id, ${from}) and u.id = t.user_id)`,
})

/** Acts are about a payment, or about a user alone. */
const ACTS = moved('operator_acts', 'id', {
  place: ({ to }) => `mod(coalesce(p.user_id, t.user_id), ${to})`,
  join: 'left join payments p on p.shard = t.shard and p.id = t.payment_id',
})

const DELIVERY_ATTEMPTS = moved('delivery_attempts', 'event_id', {
  place: ({ to }) => `mod(p.user_id, ${to})`,
  join: `
    left join deliveries d
      on d.shard = t.shard and d.event_id = t.event_id and d.endpoint_id = t.endpoint_id
    left join payments p on p.shard = t.shard and p.id = d.payment_id`,
})

/** Sums over the payments of a shard stay in the one of its number: only those of all are read. */
function kept(table: string): Moved {
  return moved(table, null, { place: () => 't.shard' })
}

/** What every shard has to know, each new one as the one that it comes from. */
function known(table: string): Moved {
  return {
    table,
    key: null,
    compared: null,
    select(columns, { at, server }, { from, to }) {
      const values = columns.map((name) => (name === '"shards"' ? `${to}` : `t.${name}`))
      return `
  select next.number::int as shard, ${values.join(', ')}
  from ${table} t
  cross join generate_series(${at}, ${to - 1}, ${from}) as next (number)
  where t.shard = ${at} and next.number between ${server.first} and ${server.last}`
    },
  }
}

/** The minutes of payments are those of the payments of each new shard. */
const MINUTES: Moved = {
  table: 'payment_minutes',
  key: null,
  compared: null,
  select: (_columns, { at, server }, { to }) => `
  select
    mod(user_id, ${to})::int as shard, date_trunc('minute', created_at, 'UTC') as minute,
    min(id) as id_min, max(id) as id_max
  from payments
  where shard = ${at} and mod(user_id, ${to}) between ${server.first} and ${server.last}
  group by 1, 2`,
}

/** The tables of shards, in the order in which they are copied. */
export const SHARDED: readonly Moved[] = [
  ofUser('users', 'id', 'id'),
  ofUser('user_details', 'user_id'),
  USER_KEYS,
  ofUser('payments', 'id'),
  ofUser('postings', 'user_id'),
  ofUser('idempotency_keys', 'user_id'),
  ofUser('payment_keys', 'user_id'),
  ofUser('payment_references', 'user_id'),
  ofPayment('payment_tasks', 'payment_id'),
  ofPayment('payment_attempts', 'payment_id'),
  ofPayment('payment_details', 'payment_id'),
  ofPayment('payment_traces', 'payment_id'),
  ofPayment('payment_watches', 'payment_id'),
  ofPayment('payment_children', 'parent_id', 't.parent_id'),
  ofPayment('gateway_refs', null),
  ofPayment('gateway_notices', null),
  ofUser('dead_letters', 'id'),
  ACTS,
  ofPayment('events', 'id'),
  ofPayment('deliveries', 'event_id'),
  DELIVERY_ATTEMPTS,
  known('event_wants'),
  known('webhook_subscriptions'),
  MINUTES,
  kept('payment_counts'),
  kept('payment_series'),
  kept('payment_series_steps'),
]

/** A table that belongs to no shard. Checks of the books that have not ended are left behind. */
function home(table: string, only = 'true'): Moved {
  return {
    table,
    key: null,
    compared: () => only,
    select: (columns) => `select ${listed(columns)} from ${table} t where ${only}`,
  }
}

/** What belongs to no shard. What processes say of themselves is left behind. */
export const HOME: readonly Moved[] = [
  home('api_keys'),
  home('console_sessions'),
  home('counters'),
  home('endpoint_acts'),
  home('gateway_breakers'),
  home('redrives'),
  home('restores'),
  home('verifications', `t.state <> 'running'`),
  home('webhook_endpoints'),
]

/** Facts of the database itself, and the processes that use it: these are not copied. */
const LEFT: readonly string[] = ['processes', 'settings']

/** Tables of which nothing is known here: what is in them would be left behind. */
export function unknownTables(names: readonly string[]): string[] {
  const all = new Set([...SHARDED, ...HOME].map(({ table }) => table))
  return names.filter((name) => !all.has(name) && !LEFT.includes(name))
}

/** Sequences whose numbers make ids of a shard: number × shards + shard. */
export const OF_SHARDS: readonly string[] = [
  'payment_ids',
  'dead_letter_ids',
  'operator_act_ids',
  'event_ids',
]
