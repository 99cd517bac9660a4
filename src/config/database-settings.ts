import { choice, databaseUrl, flag, integer, seconds, shardMap, type Setting } from './kinds.ts'

/** The settings of the database and of the way to it. */
export const DATABASE_SETTINGS = {
  databaseUrl: {
    name: 'DATABASE_URL',
    group: 'Database',
    kind: databaseUrl(),
    fallback: null,
    example: 'postgresql://payments:payments@localhost:5432/payments',
    secret: true,
    doc:
      'PostgreSQL 14 or newer. When unset, a real PostgreSQL is started in `DATA_DIR`. ' +
      '`postgres://` and `postgresql+asyncpg://` are read as `postgresql://`. Of several hosts, ' +
      'as in `postgresql://user:password@a,b/payments`, the one that takes writes is used.',
  },
  databasePooler: {
    name: 'DATABASE_POOLER',
    group: 'Database',
    kind: choice(['none', 'transaction']),
    fallback: 'none',
    doc:
      'What stands between the service and PostgreSQL. `transaction`: a pooler such as ' +
      'PgBouncer that gives each transaction any connection, so that each brings its own time ' +
      'limits.',
  },
  databasePreparedStatements: {
    name: 'DATABASE_PREPARED_STATEMENTS',
    group: 'Database',
    kind: flag(),
    fallback: 'true',
    doc:
      'Prepare each statement once per connection. Turn it off behind a pooler that does not ' +
      'keep prepared statements, such as PgBouncer before 1.21.',
  },
  databaseTls: {
    name: 'DATABASE_TLS',
    group: 'Database',
    kind: choice(['auto', 'off']),
    fallback: 'auto',
    doc:
      'With `auto`, production demands `sslmode` of a database that is neither on this machine ' +
      'nor in a private network. `off` leaves it to the network.',
  },
  autoCreateTables: {
    name: 'AUTO_CREATE_TABLES',
    group: 'Database',
    kind: flag(),
    fallback: 'true',
    doc: 'Run the pending migrations at start. When false, run `payments migrate` before.',
  },
  shards: {
    name: 'SHARDS',
    group: 'Database',
    kind: integer(1, 1_024),
    fallback: '1',
    doc:
      'Shards the data is numbered for. Fixed for the life of a database, because ids depend on ' +
      'it; `payments reshard` copies one into another with more.',
  },
  shardDatabases: {
    name: 'SHARD_DATABASES',
    group: 'Database',
    kind: shardMap(),
    fallback: null,
    example: '0=postgresql://payments:payments@localhost:5432/payments',
    secret: true,
    doc:
      'Several servers that hold the shards, each a range of them. `DATABASE_URL` is then the ' +
      'home side, which holds what belongs to no shard. Set up by `payments distribute`.',
  },
  citus: {
    name: 'CITUS',
    group: 'Database',
    kind: flag(),
    fallback: 'false',
    doc:
      '`DATABASE_URL` leads to the coordinator of Citus, which has the shards on its nodes. Set ' +
      'up by `payments distribute`.',
  },
  keysOutageMs: {
    name: 'KEYS_OUTAGE_SECONDS',
    group: 'Database',
    kind: seconds(0, 86_400),
    fallback: '300',
    doc:
      'With `SHARD_DATABASES` or `CITUS`: how long API keys that are known are believed while ' +
      'the home side is away. A key that is revoked meanwhile is refused after that, or when ' +
      'the home side is back.',
  },
  databasePool: {
    name: 'DATABASE_POOL',
    group: 'Database',
    kind: integer(2, 1_000),
    fallback: '10',
    doc: 'Connections per process and server. At least `ACCEPT_LANES` + 2.',
  },
  databaseConnectTimeoutMs: {
    name: 'DATABASE_CONNECT_TIMEOUT_SECONDS',
    group: 'Database',
    kind: seconds(0.1, 60),
    fallback: '2',
    doc: 'Longest wait for a connection.',
  },
  databaseWaitMs: {
    name: 'DATABASE_WAIT_SECONDS',
    group: 'Database',
    kind: seconds(0, 3_600),
    fallback: '30',
    doc:
      'How long a process that starts waits for a database that is away, starting or read-only ' +
      'before it gives up.',
  },
  databaseStatementTimeoutMs: {
    name: 'DATABASE_STATEMENT_TIMEOUT_SECONDS',
    group: 'Database',
    kind: seconds(0.1, 600),
    fallback: '5',
    doc: 'Longest run of one statement.',
  },
  databaseLockTimeoutMs: {
    name: 'DATABASE_LOCK_TIMEOUT_SECONDS',
    group: 'Database',
    kind: seconds(0.1, 600),
    fallback: '3',
    doc: 'Longest wait of a statement for a lock.',
  },
  databaseIdleTransactionTimeoutMs: {
    name: 'DATABASE_IDLE_TRANSACTION_TIMEOUT_SECONDS',
    group: 'Database',
    kind: seconds(0.1, 600),
    fallback: '10',
    doc: 'Longest silence of this process inside a transaction before the database rolls it back.',
  },
} as const satisfies Record<string, Setting>
