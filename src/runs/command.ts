import { InvalidArgumentError, Option, type Command } from 'commander'
import { operatorHere, withOpen, type Opened } from '../adapters/commands.ts'
import { writeJson } from '../domain/exact-json.ts'
import { exponentIn } from '../domain/currency.ts'
import { formatMoney } from '../domain/money.ts'
import { plan, type Plan, type Sum } from './letters.ts'
import { RATE_DEFAULT } from './run.ts'
import type { Run } from './store.ts'
import { demandCall, planned, withRunOptions, type RunCall, type RunWorld } from './run-command.ts'
import type { RedriveFilter } from '../dead-letters/store.ts'

interface Options extends RunCall {
  readonly class?: 'failed' | 'unknown'
  readonly error?: string
  readonly type?: 'deposit' | 'withdraw' | 'refund'
  readonly user?: bigint
}

/**
 * `payments redrive`: the redrive of many letters, on the database itself, so it works while no API
 * runs. Exit code 0: every letter was redriven or closed by somebody else; 1: some were refused, or
 * the run was canceled; 2: the call is wrong.
 */
export function redriveCommand(program: Command, open: () => Promise<Opened<RunWorld>>): void {
  const command = program
    .command('redrive')
    .description('Redrive the open dead letters that match; without filters, all of them.')
    .addOption(
      new Option('--class <class>', 'only letters of this class').choices(['failed', 'unknown']),
    )
    .option('--error <code>', 'only with this error, such as http_502')
    .addOption(
      new Option('--type <type>', 'only of payments of this type').choices([
        'deposit',
        'withdraw',
        'refund',
      ]),
    )
    .option('--user <id>', 'only of this user', parseUser)

  const words = { items: 'letters', dryRun: 'change nothing', made: 'opened', rate: RATE_DEFAULT }
  withRunOptions(command, words).action(async (options: Options) => {
    demandCall(options)
    await withOpen(open, (world) => redrive(world, options))
  })
}

async function redrive(world: RunWorld, options: Options): Promise<void> {
  const books = world.db.currency
  const snapshot = await plan(world, filterOf(options), operatorHere('').actor)
  await planned(world, options, {
    snapshot: snapshot.run.id,
    count: snapshot.run.total,
    json: async () => writeJson(await planBody(snapshot, books)),
    text: () => summary(snapshot, books),
    question: `Redrive ${letters(snapshot.run.total)}?`,
    declined: 'Nothing was changed.',
    label: 'Redriving',
    ended: {
      json: (run) => runJson(run, books),
      text: ending,
      isWhole: ({ refused }) => refused === 0,
    },
  })
}

function filterOf(options: Options): RedriveFilter {
  return {
    class: options.class ?? null,
    error: options.error ?? null,
    type: options.type ?? null,
    userId: options.user ?? null,
    createdBefore: options.before ?? null,
    createdAfter: options.after ?? null,
  }
}

function summary(found: Plan, books: string): string {
  const { run, matching, byClass, refused } = found
  if (run.total === 0) return 'No open dead letter matches.'
  const what = { failed: 'failed, new payments repeat them', unknown: 'unknown, looked up first' }
  const parts = byClass.map((part) => {
    return `  ${part.count} for ${sumText(part, books)}: ${what[part.class]}`
  })
  const refusals = refused.map((part) => {
    return `  ${part.count} for ${sumText(part, books)} of them would be refused: ${part.code}`
  })
  const more = matching > run.total ? `\n  ${matching - run.total} more match: run it again` : ''
  const all = found.sums.map((part) => sumText(part, books)).join(' and ')
  const head = `${letters(run.total)} for ${all} would be redriven:`
  return `${head}\n${[...parts, ...refusals].join('\n')}${more}`
}

/** A sum, with its currency where that is not the books'. */
function sumText({ currency, amount }: Sum, books: string): string {
  const text = formatMoney(amount, exponentIn(currency, books))
  return currency === null ? text : `${text} ${currency}`
}

function ending(run: Run): string {
  const how = run.state === 'canceled' ? 'Canceled' : 'Done'
  const why = Object.entries(run.refusals).map(([code, count]) => `${count} ${code}`)
  const reasons = why.length === 0 ? '' : ` (${why.join(', ')})`
  const refused = `${run.refused} refused${reasons}`
  const counts = `${run.carriedOut} redriven, ${run.skipped} closed by others, ${refused}`
  return `${how}: ${counts}, ${run.total - run.position} not reached. Redrive ${run.id}.`
}

// The schemas of the API are loaded where they are needed: help does without.

async function runJson(run: Run, books: string): Promise<string> {
  const { runBody } = await import('./bodies.ts')
  return writeJson(runBody(run, books))
}

async function planBody(found: Plan, books: string) {
  const { letterBody } = await import('../dead-letters/bodies.ts')
  const { run, matching, sums, byClass, refused, sample } = found
  const summed = (part: Sum) => ({
    count: part.count,
    amount: formatMoney(part.amount, exponentIn(part.currency, books)),
    ...(part.currency === null ? {} : { currency: part.currency }),
  })
  const others = sums.filter(({ currency }) => currency !== null).map(summed)
  return {
    snapshot: Number(run.id),
    count: run.total,
    amount: formatMoney(run.amount, exponentIn(null, books)),
    matching,
    by_class: byClass.map((part) => ({ class: part.class, ...summed(part) })),
    would_refuse: refused.map((part) => ({ code: part.code, ...summed(part) })),
    sample: sample.map((letter) => letterBody(letter, books)),
    ...(others.length === 0 ? {} : { other_amounts: others }),
  }
}

function letters(count: number): string {
  return count === 1 ? '1 dead letter' : `${count} dead letters`
}

function parseUser(text: string): bigint {
  if (!/^[1-9]\d{0,17}$/.test(text)) throw new InvalidArgumentError('It is not a user id.')
  return BigInt(text)
}
