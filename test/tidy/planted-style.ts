import { anew, lines, type Planted } from './planting.ts'

/** Violations of what any project could want: sizes, names, globals, columns. */
export const STYLE: readonly Planted[] = [
  {
    name: 'a file that tells the linter to be silent',
    path: 'src/domain/planted-silent.ts',
    text: anew(`/* oxlint-disable */\nexport const planted = 1\n`),
    caught: /silences a rule/,
  },
  {
    name: 'a test that tells the compiler to be silent',
    path: 'test/planted-silent.test.ts',
    text: anew(`// @ts-nocheck\nexport const planted = 1\n`),
    caught: /silences a rule/,
  },
  {
    name: 'a global by its other name',
    path: 'test/planted-global.test.ts',
    text: anew(`global.setTimeout(() => undefined, 10)\n`),
    caught: /no-restricted-globals.*global/,
  },
  {
    name: 'a call of fetch by its third name',
    path: 'src/refunds/planted-fetch.ts',
    text: anew(`export const planted = () => global.fetch('http://localhost')\n`),
    caught: /no-restricted-globals.*global/,
  },
  {
    name: 'a deadline in a test',
    path: 'test/planted-deadline.test.ts',
    text: anew(`await fetch('http://localhost', { signal: AbortSignal.timeout(10) })\n`),
    caught: /no-restricted-properties.*AbortSignal\.timeout/,
  },
  {
    name: 'a test that lets the clock of the machine sleep',
    path: 'test/planted-clock.test.ts',
    text: anew(
      `import { systemClock } from '../src/adapters/clock.ts'\n\nawait systemClock.sleep(10)\n`,
    ),
    caught: /no-restricted-properties.*systemClock\.sleep/,
  },
  {
    name: 'a test that measures how long something takes',
    path: 'test/planted-bound.test.ts',
    text: anew(`const startedMs = performance.now()\nvoid startedMs\n`),
    caught: /no-restricted-properties.*performance\.now/,
  },
  {
    name: '300 ways through a file as it is loaded',
    path: 'scripts/planted-branches.ts',
    text: anew(`const n = Number('7')\n${lines(300, 'if (n === 1) void 0')}`),
    caught: /has 300 branches outside functions/,
  },
  {
    name: 'a text of the service that makes a line wide',
    path: 'src/domain/planted-text.ts',
    text: anew(`export const planted = '${'wide '.repeat(20)}'\n`),
    caught: /has 12\d columns/,
  },
  {
    name: 'a comment that makes a line of code wide',
    path: 'src/domain/planted-trailing.ts',
    text: anew(`export const planted = 1 // ${'wide '.repeat(20)}\n`),
    caught: /has 12\d columns/,
  },
  {
    name: 'a wide line of SQL',
    path: 'src/keys/planted-wide-store.ts',
    text: anew(`export const planted = \`\n  select ${'id, '.repeat(30)}id\n  from api_keys\`\n`),
    caught: /has 1\d\d columns/,
  },
  {
    name: 'a wide statement in one line',
    path: 'src/keys/planted-line-store.ts',
    text: anew(`export const planted = 'select ${'id, '.repeat(30)}id from api_keys'\n`),
    caught: /has 1\d\d columns/,
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
  {
    name: 'a file that is called like one of another feature',
    path: 'src/webhooks/settle.ts',
    text: anew(`export const planted = 1\n`),
    caught: /is called like src\/charging\/settle\.ts/,
  },
]
