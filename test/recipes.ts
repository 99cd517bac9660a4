import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  BANK_CHAPTER,
  BANK_CONFORMANCE,
  BANK_DRIVER,
  BANK_LINE,
  BANK_OPENING,
  BANK_RULES,
  BANK_SETTINGS,
} from './recipe-driver.ts'
import { ROOT } from './sources.ts'

/** A recipe of CONTRIBUTING.md, followed: what of it a script can do. */
export interface Followed {
  /** Its heading. */
  readonly recipe: string
  /** What stands for its `<name>`; not there: it has none. */
  readonly called?: string
  /** What its steps change, by file. */
  readonly changes: Readonly<Record<string, (before: string) => string>>
  /** The scripts of package.json that its steps run. */
  readonly scripts: readonly string[]
  /** Its check takes minutes in a browser, so that its types and rules are checked alone. */
  readonly inBrowser?: true
}

/** A text with something behind the first place where `mark` stands. */
const behind = (mark: string, text: string) => (before: string) => {
  if (!before.includes(mark)) throw new Error(`nothing says ${mark}`)
  return before.replace(mark, () => mark + text)
}

const SETTING = `
  teaMs: {
    name: 'TEA_SECONDS',
    group: 'Application',
    kind: seconds(1, 600),
    fallback: '240',
    doc: 'How long tea is left to draw.',
  },`

const REFUSAL = `
  tea_cold: [409, 'The tea is cold.'],`

const ROW = '\n| `tea_cold` | 409 | The tea is cold, and nobody warms it. | Make another one. |'

const ROUTE = `
    app.get('/processes/tea', { schema: TEA }, async (_request, reply) =>
      reply.send({ cups: await countCups(world.db) }),
    )`

const SCHEMA = `const TEA = {
  tags: ['Operations'],
  operationId: 'getTea',
  summary: 'The tea of the processes',
  response: {
    200: Type.Object({ cups: Type.Integer() }, { title: 'Tea' }),
    ...refusals(503),
  },
}

`

/** Behind all that there are. */
const NEXT = readdirSync(join(ROOT, 'docs/decisions')).length
const TITLE = `${NEXT}. Tea is left to draw for four minutes`
const FILE = `${String(NEXT).padStart(4, '0')}-tea.md`
const STATEMENT = `

/** Cups of tea: one for each process. */
const CUPS: Unsharded<{ cups: number }> = {
  name: 'processes_cups',
  sharded: false,
  text: \`
  select count(*)::int as cups
  from processes\`,
}

/** How many cups of tea there are. */
export async function countCups(db: Global): Promise<number> {
  const [row] = await db.run(CUPS, [])
  return row?.cups ?? 0
}
`

const DECISION = `# ${TITLE}

Status: accepted.

## Context

How long is it left to draw?

## Decision

Four minutes.

## What decided

After three it is weak (2026-11-28, ten cups).

## Consequences

Whoever drinks it waits.
`

const MIGRATION = `-- How strong a user likes the tea.
alter table users add column tea text;
`
const MIGRATION_FILE = `${String(readdirSync(join(ROOT, 'migrations')).length + 1).padStart(4, '0')}_tea.sql`

const RULE = `
  tea_named: warning('payment', 'No payment is called tea.', {
    payment: \`idempotency_key = 'tea'\`,
  }),`

const DAMAGE = `
  {
    name: 'a payment that somebody called tea',
    sql: [\`\${PAY} idempotency_key = 'tea' where id = \${PAID_IN}\`],
    rules: ['tea_named'],
  },`

const IMPORT = "\nimport { Tea } from './screens/tea.tsx'"

const SCREEN = `import { ScreenFrame } from '../parts/screen.tsx'
import { words } from '../words/words.ts'

/** The tea of the processes. */
export function Tea() {
  const title = words.value.screens.tea
  return <ScreenFrame title={title}>{title}</ScreenFrame>
}
`

export const FOLLOWED: readonly Followed[] = [
  {
    recipe: 'A rule of the books',
    changes: {
      'src/verify/rules.ts': behind('export const RULES = {', RULE),
      'test/verify-damage-records.ts': behind(
        'export const RECORD_DAMAGES: readonly Damage[] = [',
        DAMAGE,
      ),
      'docs/reliability.md': (before) =>
        before.replace(/plants (\d+) kinds/, (_, count) => `plants ${Number(count) + 1} kinds`),
    },
    scripts: ['ledger-page'],
  },
  {
    recipe: 'A gateway driver',
    called: 'bank',
    changes: {
      'src/gateways/bank.ts': () => BANK_DRIVER,
      'src/config/driver-settings.ts': (before) =>
        behind(
          'export const DRIVER_SETTINGS = {',
          BANK_SETTINGS,
        )(behind('  http: HTTP_RULES,', BANK_RULES)(before)),
      'src/process/drivers.ts': (before) =>
        behind(
          '  http: { profile: httpProfile, open: openHttp, list: httpList },',
          BANK_LINE,
        )(
          behind(
            "import { httpCharges } from '../gateways/http-charges.ts'",
            "\nimport { bankGateway } from '../gateways/bank.ts'",
          )(before),
        ) + BANK_OPENING,
      'docs/gateways.md': (before) =>
        before.replace('## The sandbox', (heading) => BANK_CHAPTER + heading),
      'test/bank-conformance.test.ts': () => BANK_CONFORMANCE,
    },
    scripts: ['env-example'],
  },
  {
    recipe: 'A screen of the console',
    changes: {
      'console/screens/tea.tsx': () => SCREEN,
      'console/exact/route.ts': behind("  'settings',", "\n  'tea',"),
      'console/main.tsx': (before) =>
        behind(
          '      return <Settings />',
          "\n    case 'tea':\n      return <Tea />",
        )(behind("import { Settings } from './screens/settings.tsx'", IMPORT)(before)),
      'console/app/keys.ts': behind("  settings: 's',", "\n  tea: 't',"),
      'console/words/en.ts': behind("    settings: 'Settings',", "\n    tea: 'Tea',"),
      'console/words/ru.ts': behind("    settings: 'Настройки',", "\n    tea: 'Чай',"),
    },
    scripts: [],
    inBrowser: true,
  },
  {
    recipe: 'A setting',
    changes: {
      'src/config/settings.ts': behind('export const SETTINGS = {', SETTING),
      'test/config.test.ts': behind('    eventsKeepDays: 30,', '\n    teaMs: 240_000,'),
    },
    scripts: ['env-example'],
  },
  {
    recipe: 'A refusal',
    changes: {
      'src/domain/refusal.ts': behind(
        "  letter_not_open: [409, 'The dead letter was redriven or resolved already.'],",
        REFUSAL,
      ),
      'docs/errors.md': (before) => before.replace(/\n\| `letter_not_open`.*/, (row) => row + ROW),
    },
    scripts: ['openapi'],
  },
  {
    recipe: 'A route',
    changes: {
      'src/presence/routes.ts': (before) =>
        behind(
          '  return async (app) => {',
          ROUTE,
        )(
          before
            .replace('const SettingBody', () => `${SCHEMA}const SettingBody`)
            .replace('{ listProcesses }', '{ countCups, listProcesses }'),
        ),
      'docs/operations.md': (before) => `${before}\n\`GET /api/v1/processes/tea\`: the tea.\n`,
    },
    scripts: ['openapi'],
  },
  {
    recipe: 'A statement',
    changes: { 'src/presence/store.ts': (before) => before.trimEnd() + STATEMENT },
    scripts: ['query-plans'],
  },
  {
    recipe: 'A decision',
    changes: {
      [`docs/decisions/${FILE}`]: () => DECISION,
      'docs/decisions/README.md': (before) => `${before}- [${TITLE}](${FILE})\n`,
      'ARCHITECTURE.md': (before) => `${before}- [${TITLE}](docs/decisions/${FILE})\n`,
    },
    scripts: [],
  },
  {
    recipe: 'A table or a column',
    changes: { [`migrations/${MIGRATION_FILE}`]: () => MIGRATION },
    scripts: [],
  },
]
