import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../sources.ts'
import { isSql, tokens, writtenBy } from './sql.ts'
import { literalsOf, placeOf, type Parsed } from './tree.ts'

/** The store that writes to each table; null: only the database itself does, by a trigger. */
const OWNERS: Readonly<Record<string, string | null>> = {
  api_keys: 'src/keys/store.ts',
  console_sessions: 'src/keys/sessions-store.ts',
  counters: 'src/metrics/store.ts',
  dead_letters: 'src/dead-letters/store.ts',
  deliveries: 'src/webhooks/deliveries-store.ts',
  delivery_attempts: 'src/webhooks/deliveries-store.ts',
  endpoint_acts: 'src/webhooks/endpoint-acts-store.ts',
  event_wants: 'src/events/store.ts',
  events: 'src/events/store.ts',
  gateway_breakers: 'src/gateways/breaker-store.ts',
  gateway_notices: 'src/charging/notices-store.ts',
  gateway_refs: 'src/payments/gateway-refs-store.ts',
  idempotency_keys: 'src/operators/act-keys-store.ts',
  operator_acts: 'src/operators/acts-store.ts',
  payment_attempts: 'src/charging/evidence-store.ts',
  payment_children: 'src/payments/back-store.ts',
  payment_counts: 'src/metrics/series-store.ts',
  payment_details: 'src/payments/details-store.ts',
  payment_keys: null,
  payment_minutes: 'src/payments/time-index-store.ts',
  payment_series: 'src/metrics/series-store.ts',
  payment_references: 'src/payments/details-store.ts',
  payment_series_steps: 'src/metrics/series-store.ts',
  payment_tasks: 'src/queue/store.ts',
  payment_traces: 'src/payments/traces-store.ts',
  payment_watches: 'src/queue/watches-store.ts',
  payments: 'src/payments/store.ts',
  postings: 'src/ledger/store.ts',
  processes: 'src/presence/store.ts',
  redrives: 'src/runs/store.ts',
  restores: 'src/verify/restores-store.ts',
  schema_migration_steps: 'src/adapters/migrate.ts',
  schema_migrations: 'src/adapters/migrate.ts',
  settings: 'src/process/database-store.ts',
  user_details: 'src/users/details-store.ts',
  user_keys: 'src/users/opening-keys-store.ts',
  users: 'src/users/store.ts',
  verifications: 'src/verify/runs-store.ts',
  webhook_endpoints: 'src/webhooks/store.ts',
  webhook_subscriptions: 'src/webhooks/subscriptions-store.ts',
}

/** What is written by others all the same, and why. */
const EXCEPTIONS: readonly (readonly [file: string, tables: readonly string[], why: string])[] = [
  [
    'src/payments/accept-store.ts',
    ['payments', 'payment_tasks', 'postings', 'users'],
    'one statement accepts a batch, 1.1 times as fast as one for each table (decision 7)',
  ],
  [
    'src/payments/back-store.ts',
    ['payments'],
    'a refund is one statement: the payment and its place among the children',
  ],
  [
    'src/payments/returns-store.ts',
    ['payments', 'payment_children'],
    'a return is one statement: the payment and its place among the children',
  ],
  [
    'src/webhooks/endpoint-calls-store.ts',
    ['webhook_endpoints'],
    'calls use up a rate many times a second, and write it beside what they read of an endpoint',
  ],
  [
    'src/events/store.ts',
    ['deliveries'],
    'an event gets its place and its deliveries in one statement, or one could be without others',
  ],
  [
    'src/events/replies-store.ts',
    ['deliveries', 'delivery_attempts'],
    'an erasure takes out of the log what may repeat an event, and stands in front of deliveries',
  ],
  [
    'src/webhooks/sent-again-store.ts',
    ['deliveries'],
    'what is sent again, one event or many, begins as if for the first time',
  ],
  [
    'src/webhooks/deliveries-store.ts',
    ['webhook_subscriptions'],
    'that something arrived is noted by the statement that says so of its delivery',
  ],
  [
    'src/events/write-store.ts',
    ['events'],
    'an event is written by the statement that changes its payment or letter: never one alone',
  ],
  [
    'src/ledger/store.ts',
    ['users'],
    'a balance moves only in the statement that posts why: they cannot differ',
  ],
  [
    'src/queue/claims-store.ts',
    ['payment_attempts', 'payment_tasks'],
    'a claim that was lost is recorded by the claim that follows, in one statement',
  ],
  [
    'src/adapters/restore.ts',
    [
      'console_sessions',
      'event_wants',
      'payment_counts',
      'payment_tasks',
      'redrives',
      'restores',
      'settings',
    ],
    'what is loaded from a backup is in doubt, and marked, in the transaction that loads it',
  ],
  [
    'src/adapters/id-ranges.ts',
    ['…', 'processes'],
    'makes the tables of ranges, whose names are not known before, and writes no row',
  ],
  [
    'src/adapters/reshard.ts',
    ['settings'],
    'how far a database is filled is written in the transaction that fills it, or it could lie',
  ],
  [
    'src/adapters/reshard-source.ts',
    ['deliveries', 'payment_tasks', 'payments', 'settings', 'users'],
    'locks what others would write, and writes nothing',
  ],
  [
    'src/dead-letters/tasks-store.ts',
    ['payment_tasks'],
    'a payment that starts over gets its fence from its evidence, and is counted, in one statement',
  ],
  ...[
    'operators/acts-store',
    'payments/accept-store',
    'dead-letters/store',
    'dead-letters/tasks-store',
    'payments/counted-store',
    'queue/claims-store',
    'queue/store',
  ].map(
    (store) =>
      [
        `src/${store}.ts`,
        ['payment_counts'],
        'whoever moves a payment counts it in the same statement (decision 15)',
      ] as const,
  ),
]

/** A table of ours behind a word that comes before one. */
const NAMED = new RegExp(`\\b(?:from|join|into|update) (?:${Object.keys(OWNERS).join('|')})\\b`)

/** A statement, or a part of one. */
export function isStatement(text: string): boolean {
  return isSql(text) || NAMED.test(tokens(text).join(' '))
}

/** Tables that a file writes to, each with the place. */
function writesOf(file: Parsed): { table: string; place: string }[] {
  return literalsOf(file).flatMap(({ node, text }) =>
    writtenBy(text)
      .filter((table) => table in OWNERS || (table.startsWith('…') && isStatement(text)))
      .map((table) => ({ table, place: placeOf(file, node) })),
  )
}

/** What may be written, as `file table`. */
const MAY = new Set([
  ...Object.entries(OWNERS).flatMap(([table, path]) => (path === null ? [] : `${path} ${table}`)),
  ...EXCEPTIONS.flatMap(([path, tables]) => tables.map((table) => `${path} ${table}`)),
])

/** Tables of others that a file writes to; owners and exceptions that nothing needs any more. */
export function foreignWrites(files: readonly Parsed[]): { broken: string[]; stale: string[] } {
  const writes = files
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap((file) =>
      writesOf(file).map((write) => ({ ...write, key: `${file.path} ${write.table}` })),
    )
  const written = new Set(writes.map(({ key }) => key))
  return {
    broken: writes
      .filter(({ key }) => !MAY.has(key))
      .map(({ table, place }) => `${place} writes to ${table}, which belongs to ${OWNERS[table]}`),
    stale: [...MAY].filter((key) => !written.has(key)),
  }
}

/** The text of all migrations. */
export function migrations(): string {
  const folder = join(ROOT, 'migrations')
  const names = readdirSync(folder).toSorted()
  return names.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n')
}

/** Every table that migrations make, and whether its rows belong to a shard. */
export function tablesOf(texts: string): ReadonlyMap<string, boolean> {
  const made = texts.matchAll(/^create table (?:if not exists )?(\w+) \(\n( *shard int)?/gm)
  return new Map([...made].map(([, table = '', shard]) => [table, shard !== undefined]))
}

/** Tables that have no owner here. */
export function ownerless(texts: string): string[] {
  return [...tablesOf(texts).keys()].filter((table) => !(table in OWNERS))
}
