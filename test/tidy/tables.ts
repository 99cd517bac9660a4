import { literalsOf, placeOf, type Parsed } from './tree.ts'

/** Where the statements that write to each table live: a folder, or a file. */
const OWNERS: Readonly<Record<string, string>> = {
  api_keys: 'src/keys/',
  counters: 'src/metrics/',
  dead_letters: 'src/dead-letters/',
  gateway_breakers: 'src/gateways/',
  gateway_refs: 'src/gateways/',
  idempotency_keys: 'src/payments/',
  operator_acts: 'src/dead-letters/',
  payment_attempts: 'src/charging/',
  payment_children: 'src/payments/',
  payment_counts: 'src/metrics/',
  payment_details: 'src/payments/',
  payment_minutes: 'src/payments/',
  payment_references: 'src/payments/',
  payment_tasks: 'src/queue/',
  payments: 'src/payments/',
  postings: 'src/ledger/',
  redrives: 'src/runs/',
  schema_migrations: 'src/adapters/migrate.ts',
  settings: 'src/process/',
  user_details: 'src/users/',
  user_keys: 'src/users/',
  users: 'src/users/',
}

/** What is written by others all the same, and why. */
const EXCEPTIONS: readonly (readonly [file: string, tables: readonly string[], why: string])[] = [
  [
    'src/payments/store.ts',
    ['payment_tasks', 'postings', 'users'],
    'one statement accepts a batch, 1.1 times as fast as one for each table (decision 7)',
  ],
  [
    'src/ledger/store.ts',
    ['users'],
    'a balance moves only in the statement that posts why: they cannot differ',
  ],
  [
    'src/queue/claims-store.ts',
    ['payment_attempts'],
    'a claim that was lost is recorded by the claim that follows, in one statement',
  ],
  [
    'src/dead-letters/tasks-store.ts',
    ['payment_tasks'],
    'what an operator starts over goes back into the queue',
  ],
  ...[
    'dead-letters/store',
    'dead-letters/tasks-store',
    'payments/store',
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

const WRITES =
  /\b(?:insert\s+into|(?<!for\s+)update|delete\s+from|merge\s+into)\s+(?:only\s+)?(\w+)/g

/** A statement, by the word that it begins with; a sentence has no table behind it. */
export const SQL =
  /^\s*(?:select\s|insert\s+into\s|update\s+\w+\s+(?:\w+\s+)?set\s|delete\s+from\s|with\s+(?:…,\s+)?\w+\s+as\s|with\s+…\s+(?:select|insert|update|delete)\s|merge\s+into\s)/

/** Tables that a file writes to, each with the place. */
function writesOf(file: Parsed): { table: string; place: string }[] {
  return literalsOf(file).flatMap(({ node, text }) =>
    [...text.matchAll(WRITES)]
      .map(([, table = '']) => ({ table, place: placeOf(file, node) }))
      .filter(({ table }) => table in OWNERS),
  )
}

/** Tables of others that a file writes to, and exceptions that nothing needs any more. */
export function foreignWrites(files: readonly Parsed[]): { broken: string[]; stale: string[] } {
  const used = new Set<string>()
  const broken = files
    .filter(({ path }) => path.startsWith('src/'))
    .flatMap((file) =>
      writesOf(file).flatMap(({ table, place }) => {
        if (file.path.startsWith(OWNERS[table] ?? '')) return []
        const excused = EXCEPTIONS.some(
          ([path, tables]) => path === file.path && tables.includes(table),
        )
        if (excused) used.add(`${file.path} writes to ${table}`)
        return excused ? [] : [`${place} writes to ${table}, which belongs to ${OWNERS[table]}`]
      }),
    )
  const excuses = EXCEPTIONS.flatMap(([path, tables]) =>
    tables.map((table) => `${path} writes to ${table}`),
  )
  return { broken, stale: excuses.filter((excuse) => !used.has(excuse)) }
}

/** Tables that the migrations make and that have no owner here. */
export function ownerless(migrations: string): string[] {
  const made = [...migrations.matchAll(/^create table (?:if not exists )?(\w+)/gm)]
  return [...new Set(made.map(([, table = '']) => table))].filter((table) => !(table in OWNERS))
}
