import type { Command } from 'commander'
import { JSON_OPTION, REASON_OPTION, type ActOptions } from '../adapters/command-options.ts'
import { operatorHere, print, withOpen, type Opened } from '../adapters/commands.ts'
import { wrapped } from '../adapters/terminal.ts'
import { writeJson } from '../domain/exact-json.ts'
import { barsOn, listsOf, type VerifyCommandWorld } from './command.ts'
import type { ListedGateway } from './compare-with-gateway.ts'
import { findMissed, gatewaysUnnamed, type Lost, type Missed } from './recover.ts'
import { nameOf, reportJson } from './report.ts'
import { closeRestore, openRestore } from './restored.ts'
import type { Restored } from './restores-store.ts'

/** Exit codes of `payments recover`. */
const DONE = 0
const NOT_RECOVERED = 1

interface RecoverOptions extends Partial<ActOptions> {
  readonly gateway?: boolean | string
  readonly acceptLosses?: boolean
}

const HELP = `
Exit codes: 0 the database can be used; 1 something is missing, and was not
accepted, or it could not be compared. Payments that were open at the moment of
the backup need nothing: a worker asks their gateways before it charges them.`

/** Charges that are printed for people; --json names more. */
const SHOWN_MAX = 100

/** `payments recover`: find what a restored database lacks, and let it be used again. */
export function recoverCommand(
  program: Command,
  open: () => Promise<Opened<VerifyCommandWorld>>,
): void {
  program
    .command('recover')
    .description(
      'After a restore: compare the books with what the gateways executed, say what is missing, ' +
        'and let the database be used again.',
    )
    .option('--gateway <url>', 'the URL of the first gateway, where the settings have none')
    .option('--accept-losses', 'use the database although something is missing')
    .option(...REASON_OPTION)
    .option(...JSON_OPTION)
    .addHelpText('after', HELP)
    .action(async (options: RecoverOptions) => {
      if ((options.acceptLosses === true) !== (options.reason !== undefined)) {
        program.error('error: --accept-losses needs --reason, and --reason is for nothing else')
      }
      process.exitCode = await withOpen(open, (world) => recover(world, options))
    })
}

/** Returns the exit code. */
export async function recover(world: VerifyCommandWorld, options: RecoverOptions): Promise<number> {
  const { json = false } = options
  const restored = await openRestore(world.db)
  if (restored === null) {
    print(json ? writeJson({ restored: false }) : 'Nothing to do: the database was not restored.')
    return DONE
  }
  const { lists, unlisted: without } = readLists(world, options)
  const unnamed = await gatewaysUnnamed(
    world.db,
    world.gateways.map(({ gateway }) => gateway),
  )
  if (options.acceptLosses !== true) demandAll(without, unnamed)
  const unlisted = [...without, ...unnamed]
  const bars = barsOn(process.stderr)
  const missed = await findMissed(world, lists, { onProgress: bars.show })
  bars.done()
  const lacking = { restored, missed, unlisted }
  const done = await close(world, lacking, options)
  if (json) print(writeJson(asJson(lacking, done, options.reason ?? null)))
  else for (const line of linesOf(lacking, done)) print(wrapped(line, 0))
  return done ? DONE : NOT_RECOVERED
}

/** Refuse to say what is missing where not every gateway can be asked. */
function demandAll(without: readonly string[], unnamed: readonly string[]): void {
  if (unnamed.length > 0) {
    throw new Error(
      `Payments went to ${unnamed.join(', ')}, which GATEWAYS does not name: name it there, or ` +
        'compare with its statement by hand, and then give --accept-losses --reason.',
    )
  }
  if (without.length === 0) return
  throw new Error(
    `What ${without.join(', ')} executed cannot be listed: compare with its statement by hand, ` +
      'and then give --accept-losses --reason.',
  )
}

interface Found {
  readonly restored: Restored
  readonly missed: Missed
  /** Gateways that were not compared. */
  readonly unlisted: readonly string[]
}

/** Let the database be used, where nothing is missing or that was accepted. False: it is not. */
async function close(
  { db }: VerifyCommandWorld,
  { missed: { report, lostCount }, unlisted }: Found,
  options: RecoverOptions,
): Promise<boolean> {
  const { acceptLosses = false, reason = null } = options
  const clean = report.violations === 0 && unlisted.length === 0
  // What could not be looked at cannot be accepted either.
  if (report.missing.length > 0 || !(clean || acceptLosses)) return false
  const { actor } = operatorHere(reason ?? '')
  await closeRestore(db, { actor, lost: unlisted.length === 0 ? lostCount : null, reason })
  return true
}

/** The lists of the gateways, and the names of those that have none. */
function readLists(
  { gateways }: VerifyCommandWorld,
  { gateway }: RecoverOptions,
): { readonly lists: readonly ListedGateway[]; readonly unlisted: readonly string[] } {
  if (typeof gateway === 'string') {
    const lists = listsOf(gateways, gateway)
    if (typeof lists === 'string') throw new Error(lists)
    const others = gateways.slice(1).flatMap(({ gateway: name, list }) => {
      return list === null ? [] : [{ gateway: name, list }]
    })
    const none = gateways.slice(1).filter(({ list }) => list === null)
    return { lists: [...lists, ...others], unlisted: none.map((one) => one.gateway) }
  }
  return {
    lists: gateways.flatMap(({ gateway: name, list }) =>
      list === null ? [] : [{ gateway: name, list }],
    ),
    unlisted: gateways.filter(({ list }) => list === null).map((one) => one.gateway),
  }
}

function linesOf({ restored, missed, unlisted }: Found, done: boolean): string[] {
  const { lost, lostCount, toldCount, unaskedCount, report } = missed
  const lines = [`Restored to ${restored.backupAt.toISOString()}.`]
  if (toldCount > 0) {
    lines.push(
      `${toldCount} payments that are open here were executed by their gateways: a worker asks ` +
        'and ends them.',
    )
  }
  if (unaskedCount > 0) {
    lines.push(
      `${unaskedCount} payments that are unknown here were executed by their gateways, and no ` +
        'worker asks about them: resolve them.',
    )
  }
  if (lostCount > 0) {
    lines.push(`${lostCount} charges at the gateways are missing here:`)
    lines.push(...lost.slice(0, SHOWN_MAX).map((one) => `  ${lostLine(one)}`))
    const more = lostCount - Math.min(lostCount, SHOWN_MAX)
    if (more > 0) lines.push(`  and ${more} more: --json names them`)
  }
  for (const { rule, violations, examples } of report.rules) {
    if (violations === 0 || rule === 'gateway_missing_here') continue
    lines.push(`${rule}, ${violations} in all: ${examples.map(nameOf).join(', ')}`)
  }
  if (unlisted.length > 0) lines.push(`${unlisted.join(', ')} could not be compared.`)
  if (report.missing.length > 0) {
    lines.push(`Shard ${report.missing.join(', ')} of the database could not be checked.`)
  }
  lines.push(
    done
      ? 'The database can be used.'
      : 'The database stays as it is, and nothing starts: settle what is missing, then give ' +
          '--accept-losses --reason.',
  )
  return lines
}

function lostLine({ gateway, charge, failedHere }: Lost): string {
  const { paymentId, type, amount, currency, ref } = charge
  const listed = writeJson(amount).replaceAll('"', '')
  const money = currency === null ? listed : `${listed} ${currency}`
  const known = failedHere ? ', failed here: payments correct books it' : ''
  return `payment ${paymentId}: ${type} ${money} at ${gateway}, ref ${ref ?? 'unknown'}${known}`
}

function asJson({ restored, missed, unlisted }: Found, done: boolean, reason: string | null) {
  const { lost, lostCount, toldCount, unaskedCount, report } = missed
  return {
    restored: true,
    backup_at: restored.backupAt,
    restored_at: restored.restoredAt,
    recovered: done,
    reason,
    lost_count: lostCount,
    lost: lost.map(({ gateway, charge, failedHere }) => ({
      gateway,
      payment_id: String(charge.paymentId),
      type: charge.type,
      amount: charge.amount,
      currency: charge.currency,
      ref: charge.ref,
      failed_here: failedHere,
    })),
    told_count: toldCount,
    unasked_count: unaskedCount,
    not_compared: unlisted,
    report: reportJson(report),
  }
}
