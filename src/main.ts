import { Command, CommanderError, Help, type Option } from 'commander'
import { benchCommand } from '../tools/load/command.ts'
import { ConfigError } from './config/config.ts'
import { redriveCommand } from './runs/command.ts'
import { demoCommand } from '../tools/demo/command.ts'
import { printableLines } from './domain/printable.ts'
import { keysCommand } from './keys/command.ts'
import { editDistance } from './config/spelling.ts'
import { serve } from './process/serve.ts'
import { openTool, runMigrate } from './process/tool.ts'
import { verifyCommand } from './verify/command.ts'

/** Exit codes: what was asked could not be done; the configuration or the call is wrong. */
const FAILED = 1
const MISUSED = 2

/** How long a process that failed may take to end by itself, in milliseconds. */
const LINGER_MS = 1_000

/** How many letters may be wrong in the name of a command that is suggested. */
const APART_MAX = 2

const program = new Command('payments')
  .description('Payment processing with commission, a durable queue and a double-entry ledger.')
  .version('0.1.0')
  .showHelpAfterError()
  // Throws instead of ending the process with a code that means something else.
  .exitOverride()
  .configureHelp({ optionDescription })
  .addHelpText(
    'after',
    '\nExit codes: 0 done; 1 it could not be done; 2 the call or the configuration is\n' +
      'wrong. Some commands have more to say: see their help.',
  )

program
  .command('start', { isDefault: true })
  .description(
    'Run everything in one process: API, worker, and where they are not configured an embedded ' +
      'PostgreSQL and the mock gateway.',
  )
  .action(() => serve({ api: true, worker: true, mockGateway: true }))
program
  .command('api')
  .description('Run the HTTP API alone. Needs DATABASE_URL.')
  .action(() => serve({ api: true, worker: false, mockGateway: false }))
program
  .command('worker')
  .description('Run a worker alone. Needs DATABASE_URL and PAYMENT_GATEWAY_URL.')
  .action(() => serve({ api: false, worker: true, mockGateway: false }))
program
  .command('mock-gateway')
  .description('Run the mock gateway alone.')
  .action(() => serve({ api: false, worker: false, mockGateway: true }))
program
  .command('migrate')
  .description('Bring the database to the newest schema.')
  .option('--dry-run', 'say what would be applied and change nothing')
  .option('--status', 'list the migrations and when they were applied')
  .option('--embedded', 'make the embedded database of DATA_DIR where there is none')
  .option('--json', 'print JSON')
  .action(runMigrate)

keysCommand(program, openTool)
verifyCommand(program, openTool)
redriveCommand(program, openTool)
demoCommand(program)
benchCommand(program)

for (const stream of [process.stdout, process.stderr]) {
  // Nobody reads any more, as behind `| head`: what a command does is not stopped by that.
  stream.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'EPIPE') throw error
  })
}

run(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = codeOf(error)
  // What the parser has to say it has said.
  if (!(error instanceof CommanderError)) {
    const text = error instanceof Error ? error.message : String(error)
    process.stderr.write(`${printableLines(text)}\n`)
  }
  // Everything is closed. Should anything still hold the process, it does not hold it for good.
  setTimeout(() => {
    process.stderr.write('Something still held the process: it is ended.\n')
    process.exit()
  }, LINGER_MS).unref()
})

async function run(args: readonly string[]): Promise<void> {
  const [name] = args
  if (name !== undefined && !name.startsWith('-')) demandCommand(name)
  await program.parseAsync(args, { from: 'user' })
}

/** An option with its default as people type it: no quotes, no brackets, and nothing for none. */
function optionDescription(option: Option): string {
  const text = new Help().optionDescription(option).replace(' (default: [])', '')
  return text.replace(/\(default: .*\)$/, (said) => said.replace(/[[\]"]/g, ''))
}

function codeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  return error instanceof ConfigError ? MISUSED : FAILED
}

/** `start` is the default, and would take any word for an argument of its own. */
function demandCommand(name: string): void {
  const names = ['help', ...program.commands.map((command) => command.name())]
  if (names.includes(name)) return
  const near = names.filter(
    (known) => known.startsWith(name) || editDistance(name, known) <= APART_MAX,
  )
  const hint = near.length === 0 ? '' : `\n(Did you mean ${near.join(' or ')}?)`
  program.error(`error: unknown command '${name}'${hint}`, { code: 'commander.unknownCommand' })
}
