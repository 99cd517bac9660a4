import { availableParallelism } from 'node:os'
import { InvalidArgumentError, Option } from 'commander'
import { JSON_OPTION } from '../adapters/command-options.ts'
import { editDistance } from '../config/spelling.ts'
import { eraseUser } from '../operators/erase-user.ts'
import { gatewaysCommand } from '../charging/command.ts'
import { exportCommand } from '../export/command.ts'
import { keysCommand } from '../keys/command.ts'
import { newProgram } from './command-line.ts'
import type { BackupOptions } from './backup-command.ts'
import type { DistributeOptions } from './distribute.ts'
import type { MigrateOptions } from './migrating.ts'
import type { PartitionsOptions } from './partitions-command.ts'
import type { ReshardOptions } from './reshard-command.ts'
import type { RestoreOptions } from './restore-command.ts'
import type { Tool } from './tool.ts'
import type { Roles } from './shared.ts'
import { VERSION } from './version.ts'
import { correctCommand } from '../dead-letters/correct-command.ts'
import { cancelCommand } from '../operators/cancel-command.ts'
import { returnCommand } from '../refunds/return-command.ts'
import { redriveCommand } from '../runs/command.ts'
import { missedUntilEnabled } from '../runs/events.ts'
import { replayCommand } from '../runs/replay-command.ts'
import { paymentCommand } from '../timeline/command.ts'
import { usersCommand } from '../users/command.ts'
import { verifyCommand } from '../verify/command.ts'
import { recoverCommand } from '../verify/recover-command.ts'
import { webhooksCommand } from '../webhooks/command.ts'

/** More than the cores of one machine. */
const PROCESSES_MAX = 256
/** How many letters may be wrong in the name of a command that is suggested. */
const APART_MAX = 2

// Loaded when they are needed: help, and a wrong call, take an eighth of the time without them.
const serve = async (roles: Roles, options: { readonly processes?: number } = {}) =>
  (await import('./serve.ts')).serve(roles, options)
const openTool = async (): Promise<Tool> => (await import('./tool.ts')).openTool()
/** The same for what is read, or said of the past, which a restored database needs at once. */
const openBooks = async (): Promise<Tool> => (await import('./tool.ts')).openTool('reads')
const runMigrate = async (options: MigrateOptions) =>
  (await import('./migrating.ts')).runMigrate(options)
const runDistribute = async (options: DistributeOptions) =>
  (await import('./distribute.ts')).runDistribute(options)
const runReshard = async (options: ReshardOptions) =>
  (await import('./reshard-command.ts')).runReshard(options)
const runPartitions = async (options: PartitionsOptions) =>
  (await import('./partitions-command.ts')).runPartitions(options)
const runBackup = async (options: BackupOptions) =>
  (await import('./backup-command.ts')).runBackup(options)
const runRestore = async (options: RestoreOptions) =>
  (await import('./restore-command.ts')).runRestore(options)

/** Every command of `payments`, with its options and help. */
export const program = newProgram('payments')
  .description('Payment processing with commission, a durable queue and a double-entry ledger.')
  .version(VERSION)
  .addHelpText(
    'after',
    '\nExit codes: 0 done; 1 it could not be done; 2 the call or the configuration is\n' +
      'wrong. Some commands have more to say: see their help.',
  )

program
  .command('start', { isDefault: true })
  .description(
    'Run API and worker in one process. Without DATABASE_URL it brings a PostgreSQL, without ' +
      'PAYMENT_GATEWAY_URL the mock gateway.',
  )
  .addOption(processesOption())
  .action((options) => serve({ api: true, worker: true, mockGateway: true }, options))
program
  .command('api')
  .description('Run the HTTP API alone. Needs DATABASE_URL.')
  .addOption(processesOption())
  .action((options) => serve({ api: true, worker: false, mockGateway: false }, options))
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
  .description('Migrate the schema of the database, and exit.')
  .option('--dry-run', 'say what would be applied and change nothing')
  .option('--status', 'list the migrations and when they were applied')
  .option('--app-role <name>', 'grant this role what the service needs, and no more')
  .option('--embedded', 'make the embedded database of DATA_DIR where there is none')
  .option(...JSON_OPTION)
  .action(runMigrate)
program
  .command('distribute')
  .description('Set up the servers of SHARD_DATABASES, or the nodes of Citus, and exit.')
  .option('--dry-run', 'check everything, say what would be done, change nothing')
  .option('--empty', 'accept a new server without rows for shards that were on another one')
  .action(runDistribute)
program
  .command('reshard')
  .description(
    'Copy a database that nobody uses into an empty one with more shards, that of these settings.',
  )
  .requiredOption('--from <url>', 'the database to copy; it is only read')
  .option('--dry-run', 'check everything, say what would be done, change nothing')
  .option(...JSON_OPTION)
  .action(runReshard)
program
  .command('partitions')
  .description('List the ranges of payments, make the next ones, and exit.')
  .option('--enable', 'cut the tables of a database that nobody uses into ranges')
  .option('--size <ids>', 'payments of a range; at first 20 million, and then as many as before')
  .option('--ahead <ranges>', 'empty ranges that are there beforehand', '3')
  .option('--dry-run', 'say what would be made and change nothing')
  .option(...JSON_OPTION)
  .action(runPartitions)
program
  .command('backup')
  .description('Write everything that the database holds into a new folder, beside live traffic.')
  .requiredOption('--to <folder>', 'where; nothing is overwritten')
  .option(...JSON_OPTION)
  .action(runBackup)
program
  .command('restore')
  .description('Bring a backup into an empty database. `payments recover` comes after it.')
  .requiredOption('--from <folder>', 'what `payments backup` wrote')
  .option('--check', 'see that the backup is whole and can be used, and change nothing')
  .option(...JSON_OPTION)
  .action(runRestore)
recoverCommand(program, openBooks)

keysCommand(program, openBooks)
verifyCommand(program, openBooks)
redriveCommand(program, openTool)
paymentCommand(program, openBooks)
cancelCommand(program, openTool)
returnCommand(program, openBooks)
correctCommand(program, openBooks)
usersCommand(program, openTool, eraseUser)
exportCommand(program, openBooks)
replayCommand(webhooksCommand(program, openTool, missedUntilEnabled), openTool)
gatewaysCommand(program, openTool)

/** Do what a command line says. */
export async function parse(args: readonly string[]): Promise<void> {
  const [name] = args
  if (name !== undefined && !name.startsWith('-')) demandCommand(name)
  await program.parseAsync(args, { from: 'user' })
}

/** How many processes share the port, for roles that can. */
function processesOption(): Option {
  return new Option(
    '--processes <n>',
    'processes that share the port; auto: one for each core',
  ).argParser((text: string) => {
    const count = text === 'auto' ? availableParallelism() : Number(text)
    if (Number.isInteger(count) && count >= 1 && count <= PROCESSES_MAX) return count
    throw new InvalidArgumentError(`It must be auto, or a number from 1 to ${PROCESSES_MAX}.`)
  })
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
