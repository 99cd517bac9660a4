import { added, anew, type Planted } from './planting.ts'

/** Ways round the rules: the world by another name, tables by another word, what nobody uses. */
export const WORLD: readonly Planted[] = [
  {
    name: 'the time of day by new Date()',
    path: 'src/ledger/planted-now.ts',
    text: anew('export const planted = () => new Date()\n'),
    caught: /uses new Date\(\): time comes from the clock/,
  },
  {
    name: 'the time of day by new Date without brackets',
    path: 'src/ledger/planted-now-bare.ts',
    text: anew('export const planted = () => new Date\n'),
    caught: /uses new Date\(\)/,
  },
  {
    name: 'the time of day as a text',
    path: 'src/ledger/planted-now-text.ts',
    text: anew('export const planted = () => Date()\n'),
    caught: /hands Date on/,
  },
  {
    name: 'the clock by another name',
    path: 'src/ledger/planted-now-alias.ts',
    text: anew('const Time = Date\nexport const planted = () => Time.now()\n'),
    caught: /hands Date on/,
  },
  {
    name: 'the clock taken apart',
    path: 'src/ledger/planted-now-apart.ts',
    text: anew('const { now } = Date\nexport const planted = () => now()\n'),
    caught: /hands Date on|no-restricted-properties/,
  },
  {
    name: 'the clock by a text',
    path: 'src/ledger/planted-now-key.ts',
    text: anew(`export const planted = () => Date['now']()\n`),
    caught: /hands Date on|no-restricted-properties/,
  },
  {
    name: 'the clock as a function that is handed on',
    path: 'src/ledger/planted-now-function.ts',
    text: anew('export const planted = Date.now\n'),
    caught: /uses Date\.now/,
  },
  {
    name: 'durations by another name',
    path: 'src/queue/planted-duration.ts',
    text: anew('const watch = performance\nexport const planted = () => watch.now()\n'),
    caught: /hands performance on/,
  },
  {
    name: 'chance by another name',
    path: 'src/domain/planted-chance.ts',
    text: anew('const { random } = Math\nexport const planted = () => random()\n'),
    caught: /hands Math on/,
  },
  {
    name: 'global crypto',
    path: 'src/users/planted-crypto.ts',
    text: anew('export const planted = () => crypto.getRandomValues(new Uint8Array(8))\n'),
    caught: /uses crypto/,
  },
  {
    name: 'a random id of global crypto',
    path: 'src/users/planted-uuid.ts',
    text: anew('export const planted = () => crypto.randomUUID()\n'),
    caught: /uses crypto/,
  },
  {
    name: 'chance in the domain',
    path: 'src/domain/planted-int.ts',
    text: anew(
      `import { randomInt } from 'node:crypto'\n\nexport const planted = () => randomInt(6)\n`,
    ),
    caught: /draws from node:crypto/,
  },
  {
    name: 'all of node:crypto in an operation',
    path: 'src/runs/planted-crypto.ts',
    text: anew(
      `import * as all from 'node:crypto'\n\nexport const planted = () => all.randomInt(6)\n`,
    ),
    caught: /draws from node:crypto/,
  },
  {
    name: "a wait that nobody's clock ends",
    path: 'src/charging/planted-timeout.ts',
    text: anew('export const planted = () => AbortSignal.timeout(10)\n'),
    caught: /uses AbortSignal\.timeout/,
  },
  {
    name: 'a socket in an operation',
    path: 'src/charging/planted-socket.ts',
    text: anew(`export const planted = () => new WebSocket('ws://localhost')\n`),
    caught: /uses (?:new )?WebSocket/,
  },
  {
    name: 'fetch handed on in a field',
    path: 'src/charging/planted-fetch.ts',
    text: anew('export const planted = { fetch }\n'),
    caught: /uses fetch/,
  },
  {
    name: 'the process by another name',
    path: 'src/config/planted-process.ts',
    text: anew(`const own = process\nexport const planted = () => own.env['HOME']\n`),
    caught: /hands process on/,
  },
  {
    name: 'the environment by a text',
    path: 'src/config/planted-env.ts',
    text: anew(`export const planted = () => process['env']['HOME']\n`),
    caught: /hands process on|no-restricted-properties/,
  },
  {
    name: 'the process, loaded late',
    path: 'src/process/planted-late.ts',
    text: anew(`export const planted = async () => (await import('node:process')).env\n`),
    caught: /loads node:process/,
  },
  {
    name: 'a module of Node.js out of the process',
    path: 'src/process/planted-builtin.ts',
    text: anew(`export const planted = () => process.getBuiltinModule('fs')\n`),
    caught: /uses process\.getBuiltinModule/,
  },
  {
    name: 'the end of the process, in an operation',
    path: 'src/payments/planted-exit.ts',
    text: anew('export const planted = () => process.exit(1)\n'),
    caught: /uses process\.exit/,
  },
  {
    name: 'a file in an operation',
    path: 'src/payments/planted-file.ts',
    text: anew(
      `import { readFileSync } from 'node:fs'\n\nexport const planted = () => readFileSync('x')\n`,
    ),
    caught: /imports node:fs, but an operation knows no driver/,
  },
  {
    name: 'a library loaded by a way round',
    path: 'src/keys/planted-require.ts',
    text: anew(
      `import { createRequire } from 'node:module'\n\nexport const planted = createRequire(import.meta.url)('pg')\n`,
    ),
    caught: /loads node:module|knows no driver/,
  },
  {
    name: 'a variable of the whole process, in the domain',
    path: 'src/domain/planted-let.ts',
    text: anew('let count = 0\nexport const planted = () => (count += 1)\n'),
    caught: /keeps a variable/,
  },
  {
    name: 'a collection of the whole process',
    path: 'src/domain/planted-map.ts',
    text: anew(
      'const seen = new Map<string, number>()\nexport const planted = (key: string) => seen.set(key, 1)\n',
    ),
    caught: /keeps a variable/,
  },
  {
    name: 'a hundredth of money',
    path: 'src/payments/planted-hundredth.ts',
    text: anew('export const planted = (text: string) => parseFloat(text) * 0.01\n'),
    caught: /makes a float of money/,
  },
  {
    name: 'money times a number',
    path: 'src/payments/planted-times.ts',
    text: anew('export const planted = (amount: number) => amount * 1.02\n'),
    caught: /makes a float of money/,
  },
  {
    name: 'money that a sign makes a number',
    path: 'src/payments/planted-sign.ts',
    text: anew('export const planted = (row: { amount: string }) => +row.amount\n'),
    caught: /makes a float of money/,
  },
  {
    name: 'a whole table that a store locks',
    path: 'src/payments/planted-lock-store.ts',
    text: anew(
      `export const planted = { name: 'x', text: 'lock table users in exclusive mode' }\n`,
    ),
    caught: /writes to users, which belongs to/,
  },
  {
    name: 'a table that a store locks, without the word',
    path: 'src/payments/planted-lock-bare-store.ts',
    text: anew(`export const planted = { name: 'x', text: 'lock users in exclusive mode' }\n`),
    caught: /writes to users, which belongs to/,
  },
  {
    name: 'a writer of another feature, in routes',
    path: 'src/runs/planted-routes.ts',
    text: anew(
      `import { endLetters } from '../dead-letters/store.ts'\n\nexport const planted = endLetters\n`,
    ),
    caught: /imports src\/dead-letters\/store\.ts, but routes are thin/,
  },
  {
    name: "another feature's writer in routes that may take its types",
    path: 'src/runs/routes.ts',
    text: added(
      `import { endLetters } from '../dead-letters/store.ts'\n\nexport const planted = endLetters\n`,
    ),
    caught: /imports src\/dead-letters\/store\.ts, but routes are thin/,
  },
  {
    name: 'a driver in a command',
    path: 'src/keys/command.ts',
    text: added(`export const planted = async () => (await import('pg')).default\n`),
    caught: /imports pg, but a command knows the product/,
  },
  {
    name: 'an export out of something taken apart',
    path: 'src/domain/money.ts',
    text: added(
      'export const { PLANTED_APART, of: [PLANTED_LIST] } = { PLANTED_APART: 1, of: [2] }\n',
    ),
    caught: /exports PLANTED_LIST, which nobody imports/,
  },
  {
    name: 'a name that says nothing',
    path: 'src/runs/planted-name.ts',
    text: anew(`export const runManager = () => 1\n`),
    caught: /calls something runManager/,
  },
  {
    name: 'a value of which its name says whose it is, and not what',
    path: 'src/runs/planted-own.ts',
    text: anew(`export const count = ([own]: readonly number[]) => own\n`),
    caught: /calls something own/,
  },
  {
    name: 'a function whose name is said of everything',
    path: 'src/runs/planted-found.ts',
    text: anew(`export function found() {\n  return 1\n}\n`),
    caught: /calls something found/,
  },
  {
    name: 'an interface with a mark of what it is',
    path: 'src/runs/planted-mark.ts',
    text: anew(`export interface IPlanted {\n  readonly one: number\n}\n`),
    caught: /calls something IPlanted/,
  },
  {
    name: 'a file for whatever is left',
    path: 'src/runs/utils.ts',
    text: anew(`export const planted = 1\n`),
    caught: /has a name that says nothing/,
  },
  {
    name: 'a script that nothing reaches',
    path: 'scripts/planted-nobody.ts',
    text: anew(`export const planted = 1\n`),
    caught: /is reached from no program/,
  },
  {
    name: 'a part of a test that no test takes',
    path: 'test/planted-nobody.ts',
    text: anew(`export const planted = 1\n`),
    caught: /is reached from no program/,
  },
]
