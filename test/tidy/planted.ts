import { added, anew, lines, type Planted } from './planting.ts'
import { STYLE } from './planted-style.ts'
import { WORLD } from './planted-world.ts'

/** Every violation that the rules have to see. */
export const PLANTED: readonly Planted[] = [
  {
    name: 'a function of 113 lines whose type of result takes several',
    path: 'src/verify/planted.ts',
    text: anew(
      `export async function planted(): Promise<{\n  readonly sizes: Readonly<Record<string, number>>\n  readonly shards: number\n}> {\n${lines(108, '  await null')}  return { sizes: {}, shards: 1 }\n}\n`,
    ),
    caught: /max-lines-per-function/,
  },
  {
    name: 'a function of 94 lines with a comment behind its brace',
    path: 'src/payments/planted.ts',
    text: anew(`export function planted(): void { // as it says\n${lines(92, '  void 0')}}\n`),
    caught: /max-lines-per-function/,
  },
  {
    name: 'an arrow function of 80 lines in an object',
    path: 'src/queue/planted-arrow.ts',
    text: anew(
      `export const planted = {\n  run: async () => {\n${lines(78, '    void 0')}  },\n}\n`,
    ),
    caught: /max-lines-per-function/,
  },
  {
    name: 'SQL in one line of an operation',
    path: 'src/ledger/planted.ts',
    text: anew(
      `export const planted = { name: 'x', text: 'select id from users where id = $1' }\n`,
    ),
    caught: /is SQL/,
  },
  {
    name: 'SQL that begins on the first line of its template, in an operation',
    path: 'src/users/planted.ts',
    text: anew('export const planted = (id: number) => `select ${id}\n  from users`\n'),
    caught: /is SQL/,
  },
  {
    name: 'SQL that begins with its clock, in an operation',
    path: 'src/timeline/planted-clock.ts',
    text: anew(
      'const CLOCK = "clock"\nexport const planted = `\n  with ${CLOCK}, due as (table users) select 1`\n',
    ),
    caught: /is SQL/,
  },
  {
    name: 'a call of fetch in an operation',
    path: 'src/dead-letters/planted.ts',
    text: anew(`export const planted = () => fetch('http://localhost')\n`),
    caught: /no-restricted-globals.*fetch/,
  },
  {
    name: 'a call of fetch by another name',
    path: 'src/dead-letters/planted-fetch.ts',
    text: anew(`export const planted = () => globalThis.fetch('http://localhost')\n`),
    caught: /no-restricted-globals.*globalThis/,
  },
  {
    name: 'a driver that is loaded late, in an operation',
    path: 'src/charging/planted.ts',
    text: anew(`export const planted = async () => (await import('pg')).default\n`),
    caught: /imports pg, but an operation knows no driver/,
  },
  {
    name: 'a type of a driver, in an operation',
    path: 'src/charging/planted-type.ts',
    text: anew(`export type Planted = import('pg').Pool\n`),
    caught: /imports pg, but an operation knows no driver/,
  },
  {
    name: 'a queue that imports payments',
    path: 'src/queue/planted.ts',
    text: anew(
      `import { viewPayments } from '../payments/read.ts'\n\nexport const planted = viewPayments\n`,
    ),
    caught: /imports src\/payments\/read\.ts, but the queue knows no feature/,
  },
  {
    name: 'a feature that imports one behind it',
    path: 'src/users/planted-chain.ts',
    text: anew(
      `import type { Timeline } from '../timeline/timeline.ts'\n\nexport type Planted = Timeline\n`,
    ),
    caught: /imports src\/timeline\/timeline\.ts, which stands behind it/,
  },
  {
    name: 'a folder that has no place in the order',
    path: 'src/planted/planted.ts',
    text: anew(`export const planted = 1\n`),
    caught: /has no place in the order/,
  },
  {
    name: 'API keys that know a feature',
    path: 'src/keys/planted-order.ts',
    text: anew(`export { viewPayments } from '../payments/read.ts'\n`),
    caught: /imports src\/payments\/read\.ts, which stands behind it/,
  },
  {
    name: 'a driver that is loaded late, by a template',
    path: 'src/charging/planted-late.ts',
    text: anew('export const planted = async () => (await import(`pg`)).default\n'),
    caught: /imports pg, but an operation knows no driver/,
  },
  {
    name: 'a module whose name is made when it is loaded',
    path: 'src/process/planted.ts',
    text: anew('export const planted = (name: string): Promise<unknown> => import(name)\n'),
    caught: /imports \?, but/,
  },
  {
    name: 'the environment, imported by an adapter',
    path: 'src/adapters/planted.ts',
    text: anew(`import { env } from 'node:process'\n\nexport const planted = env.HOME\n`),
    caught: /no-restricted-imports.*node:process/,
  },
  {
    name: 'the environment, taken out of process by an adapter',
    path: 'src/adapters/planted-env.ts',
    text: anew(`const { env } = process\n\nexport const planted = env.HOME\n`),
    caught: /no-restricted-properties.*env/,
  },
  {
    name: 'a store that updates the table of another feature',
    path: 'src/users/planted-store.ts',
    text: anew(
      `export const planted = {\n  name: 'x',\n  text: \`\n  update payments set status = 'new' where id = $1\`,\n}\n`,
    ),
    caught: /writes to payments, which belongs to src\/payments\//,
  },
  {
    name: 'a table of another feature in capitals, quoted, in its schema',
    path: 'src/users/planted-capitals-store.ts',
    text: anew(
      `export const planted = { name: 'x', text: 'UPDATE public."payments" SET status = $1' }\n`,
    ),
    caught: /writes to payments, which belongs to src\/payments\//,
  },
  {
    name: 'a table of another feature that is emptied with its own',
    path: 'src/keys/planted-store.ts',
    text: anew(`export const planted = { name: 'x', text: 'truncate api_keys, only users' }\n`),
    caught: /writes to users, which belongs to src\/users\//,
  },
  {
    name: 'a second store that writes to a table of its feature',
    path: 'src/runs/planted-store.ts',
    text: anew(`export const planted = { name: 'x', text: 'delete from redrives' }\n`),
    caught: /writes to redrives, which belongs to src\/runs\/store/,
  },
  {
    name: 'a table that is known only when the statement is made',
    path: 'src/runs/planted-named-store.ts',
    text: anew('export const planted = (table: string) => `delete from ${table}`\n'),
    caught: /writes to …/,
  },
  {
    name: 'the number of a shard, carried by hand',
    path: 'src/runs/planted-shard.ts',
    text: anew(`export const planted = (shardNumber: number) => shardNumber\n`),
    caught: /carries a number of shards, shardNumber/,
  },
  {
    name: 'the number of shards in a field of its own',
    path: 'src/runs/planted-shards.ts',
    text: anew(`export interface Planted {\n  readonly shards?: number | null\n}\n`),
    caught: /carries a number of shards, shards/,
  },
  {
    name: 'a time for the database',
    path: 'src/runs/planted-time.ts',
    text: anew(`export const planted = (when?: Date) => when\n`),
    caught: /carries a time for the database, when/,
  },
  {
    name: 'a time for the database among options',
    path: 'src/runs/planted-times.ts',
    text: anew(`export const planted = ({ at }: { at?: Date }) => at\n`),
    caught: /carries a time for the database, at/,
  },
  {
    name: 'a loop over shards',
    path: 'src/runs/planted-loop.ts',
    text: anew(
      `export const planted = (db: { shards: string[] }) => {\n  for (const one of db.shards) void one\n}\n`,
    ),
    caught: /goes through shards/,
  },
  {
    name: 'a loop over some of the shards',
    path: 'src/runs/planted-slice.ts',
    text: anew(
      `export const planted = (db: { shards: string[] }) => {\n  for (const one of db.shards.slice(1)) void one\n}\n`,
    ),
    caught: /goes through shards/,
  },
  {
    name: 'a parameter for the time, by hand',
    path: 'src/runs/planted-clock-store.ts',
    text: anew(`export const planted = 'select COALESCE($3::timestamptz, clock_timestamp())'\n`),
    caught: /has a parameter for the time, by hand/,
  },
  {
    name: 'SQL in capitals in an operation',
    path: 'src/ledger/planted-capitals.ts',
    text: anew(`export const planted = 'SELECT id FROM "users"'\n`),
    caught: /is SQL/,
  },
  {
    name: 'a part of a statement in an operation',
    path: 'src/ledger/planted-part.ts',
    text: anew('export const planted = `, moved as (\n  update users set held = 0)`\n'),
    caught: /is SQL/,
  },
  {
    name: 'an export that nobody imports',
    path: 'src/domain/fee.ts',
    text: added(`/** Nobody's. */\nexport const PLANTED = 1\n`),
    caught: /exports PLANTED, which nobody imports/,
  },
  {
    name: 'a list of exports that nobody imports',
    path: 'src/domain/planted-list.ts',
    text: anew(`const PLANTED = 1\n\nexport { PLANTED }\n`),
    caught: /exports PLANTED, which nobody imports/,
  },
  {
    name: 'a name that another file exports as well',
    path: 'src/verify/planted-twice.ts',
    text: anew(`/** Not the refusal of a request. */\nexport const refuse = 1\n`),
    caught: /exports refuse, as src\/http\/problem\.ts does/,
  },
  {
    name: 'a barrel',
    path: 'src/domain/planted-barreled.ts',
    text: anew(`export const PLANTED = 1\n`),
    beside: {
      'src/domain/planted-barrel.ts': `export * from './planted-barreled.ts'\n`,
    },
    caught: /exports PLANTED, which nobody imports/,
  },
  {
    name: 'a function of the product that only a test uses',
    path: 'src/domain/shard.ts',
    text: added(`/** For a test. */\nexport const PLANTED_FOR_TESTS = 1\n`),
    beside: {
      'test/planted-user.ts': `import { PLANTED_FOR_TESTS } from '../src/domain/shard.ts'\n\nexport const planted = PLANTED_FOR_TESTS\n`,
    },
    caught: /exports PLANTED_FOR_TESTS for tests alone/,
  },
  {
    name: 'a file that nothing reaches',
    path: 'src/http/planted.ts',
    text: anew(`export const planted = 1\n`),
    caught: /is reached from no program/,
  },
  {
    name: 'a comment of 180 columns',
    path: 'src/domain/planted-wide.ts',
    text: anew(`/** ${'wide '.repeat(35)}*/\nexport const planted = 1\n`),
    caught: /has 18\d columns/,
  },
  ...STYLE,
  ...WORLD,
]
