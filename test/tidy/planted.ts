/** A violation of the rules: files as they are with it, and what has to be said of it. */
export interface Planted {
  /** What is wrong. */
  readonly name: string
  /** The file with the violation; with others that it takes. */
  readonly path: string
  readonly text: (before: string) => string
  readonly beside?: Readonly<Record<string, string>>
  /** What the rule says that catches it. */
  readonly caught: RegExp
}

const lines = (count: number, line: string) => `${line}\n`.repeat(count)

/** Another file, whatever it is; or one more thing in a file that is there. */
const anew = (text: string) => () => text
const added = (text: string) => (before: string) => `${before}\n${text}`

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
  {
    name: 'seven parameters',
    path: 'src/runs/planted.ts',
    text: anew(
      `export const planted = (a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7) =>\n  a + b + c + d + e + f + g\n`,
    ),
    caught: /max-params/,
  },
  {
    name: 'a class in the domain',
    path: 'src/domain/planted.ts',
    text: anew(`export class Planted {\n  readonly one = 1\n}\n`),
    caught: /is a class/,
  },
  {
    name: 'a timer in an operation',
    path: 'src/timeline/planted.ts',
    text: anew(`export const planted = () => setTimeout(() => undefined, 10)\n`),
    caught: /no-restricted-globals.*setTimeout/,
  },
  {
    name: 'a timer that an operation imports',
    path: 'src/timeline/planted-wait.ts',
    text: anew(
      `import { setTimeout as wait } from 'node:timers/promises'\n\nexport const planted = () => wait(10)\n`,
    ),
    caught: /no-restricted-imports.*node:timers\/promises/,
  },
  {
    name: 'a sleep in a test',
    path: 'test/planted-sleep.test.ts',
    text: anew(`import { setTimeout as wait } from 'node:timers/promises'\n\nawait wait(10)\n`),
    caught: /no-restricted-imports.*node:timers\/promises/,
  },
  {
    name: 'a test file of 2,000 lines',
    path: 'test/planted.test.ts',
    text: anew(lines(2_000, 'void 0')),
    caught: /max-lines\)/,
  },
  {
    name: 'sixteen ways through a function',
    path: 'bench/planted.ts',
    text: anew(
      `export function planted(n: number): number {\n${Array.from({ length: 15 }, (_, i) => `  if (n === ${i}) return ${i}\n`).join('')}  return n\n}\n`,
    ),
    caught: /complexity/,
  },
  {
    name: 'a name within a name',
    path: 'tools/planted.ts',
    text: anew(
      `const one = 1\nexport const planted = (numbers: number[]) => numbers.map((one) => one)\nexport const other = one\n`,
    ),
    caught: /no-shadow/,
  },
  {
    name: 'two files whose types import each other',
    path: 'src/gateways/planted-one.ts',
    text: anew(
      `import type { Two } from './planted-two.ts'\n\nexport interface One {\n  readonly two: Two\n}\n`,
    ),
    beside: {
      'src/gateways/planted-two.ts': `import type { One } from './planted-one.ts'\n\nexport interface Two {\n  readonly one: One\n}\n`,
    },
    caught: /no-cycle/,
  },
  {
    name: 'two files whose types import each other in their places',
    path: 'src/gateways/planted-three.ts',
    text: anew(`export interface Three {\n  readonly four: import('./planted-four.ts').Four\n}\n`),
    beside: {
      'src/gateways/planted-four.ts': `export interface Four {\n  readonly three: import('./planted-three.ts').Three\n}\n`,
    },
    caught: /consistent-type-imports/,
  },
  {
    name: 'any',
    path: 'src/keys/planted.ts',
    text: anew(`export const planted = (given: any) => given\n`),
    caught: /no-explicit-any/,
  },
  {
    name: 'the time of day in an operation',
    path: 'src/mock-gateway/planted.ts',
    text: anew(`export const planted = () => Date.now()\n`),
    caught: /no-restricted-properties.*Date\.now/,
  },
  {
    name: 'a float made of money',
    path: 'src/payments/planted-float.ts',
    text: anew(`export const planted = (amount: bigint) => Number(amount) / 100\n`),
    caught: /makes a float of money/,
  },
]
