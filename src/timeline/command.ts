import type { Command } from 'commander'
import { parseIdArgument, type AsJson } from '../adapters/command-options.ts'
import { print, refusedSaying, withOpen, type Opened } from '../adapters/commands.ts'
import { wrapped } from '../adapters/terminal.ts'
import { writeJson } from '../domain/exact-json.ts'
import { formatMoney } from '../domain/money.ts'
import { printable, printableLines } from '../domain/printable.ts'
import { timeline, type Timeline, type TimelineEvent, type TimelineWorld } from './timeline.ts'

/** The column in which an event's details begin, behind its time and its name. */
const DETAILS = 42

/**
 * `payments payment <id>`: the timeline of a payment, on the database itself, so it works while no
 * API runs. It ends with 1 when there is no such payment.
 */
export function paymentCommand(program: Command, open: () => Promise<Opened<TimelineWorld>>): void {
  program
    .command('payment')
    .description('Show everything known about a payment, and why it is in its state.')
    .argument('<id>', 'the payment id', parseIdArgument)
    .option('--json', 'print JSON, as GET /payments/{id}/timeline answers')
    .action(async (id: bigint, { json }: AsJson) => {
      await withOpen(open, async (world) => {
        const story = await timeline(world, id)
        if (story === null) throw refusedSaying('payment_not_found', `There is no payment ${id}.`)
        print(json ? await timelineJson(story) : timelineText(story, process.stdout.columns))
      })
    })
}

/** The schemas of the API are loaded where they are needed: help does without. */
async function timelineJson(found: Timeline): Promise<string> {
  const { timelineBody } = await import('./bodies.ts')
  return writeJson(timelineBody(found))
}

/** A timeline for people, within `columns`; times are UTC. Texts from outside cannot steer it. */
export function timelineText(
  { payment, exponent, explanation, events }: Timeline,
  columns = 80,
): string {
  const type = payment.type === 'withdraw' ? 'withdrawal' : payment.type
  const shown: Shown = (minor) => formatMoney(minor, exponent)
  return [
    `Payment ${payment.id}: ${payment.status}, a ${type} of ${shown(payment.amount)} ` +
      `for user ${payment.userId}`,
    '',
    wrapped(printableLines(explanation), 0, columns),
    '',
    ...events.map((event) => line(event, shown, columns)),
  ].join('\n')
}

/** An amount in the payment's currency. */
type Shown = (minor: bigint) => string

function line(event: TimelineEvent, shown: Shown, columns: number): string {
  const time = event.at.toISOString().replace('T', ' ').replace('Z', '')
  const [name, details] = told(event, shown)
  const head = `${time}  ${name}`.padEnd(DETAILS - 1)
  return `${head} ${wrapped(details.join(', '), DETAILS, columns)}`.trimEnd()
}

/** What happened, and what there is to say of it. */
function told(
  event: TimelineEvent,
  shown: Shown,
): readonly [name: string, details: readonly string[]] {
  switch (event.kind) {
    case 'accepted':
    case 'refused': {
      const { amount, commission } = event.payment
      const money = [shown(amount), `commission ${shown(commission)}`]
      const first = event.repeats === null ? [] : [`repeats payment ${event.repeats}`]
      return [event.kind, [...money, ...first]]
    }
    case 'call':
    case 'worker_lost':
      return toldCall(event)
    case 'posting':
      return toldPosting(event.posting, shown)
    case 'letter_opened': {
      const { id, class: kind, error } = event.letter
      return [`dead letter ${id}`, [kind, printable(error)]]
    }
    case 'letter_closed': {
      const { id, closedBy, closedReason } = event.letter
      return [`letter ${id} closed`, by(closedBy, closedReason)]
    }
    case 'back':
      return toldBack(event.back, shown)
    case 'act': {
      const { act, letterId, actor, reason } = event.act
      return [act, [...(letterId === null ? [] : [`letter ${letterId}`]), ...by(actor, reason)]]
    }
  }
}

type Told = readonly [name: string, details: readonly string[]]
type Happened<Kind extends TimelineEvent['kind']> = Extract<TimelineEvent, { kind: Kind }>

function toldPosting(
  { kind, user, held, fees, losses }: Happened<'posting'>['posting'],
  shown: Shown,
): Told {
  const moved = [`available ${signed(user, shown)}`, `held ${signed(held, shown)}`]
  const earned = fees === 0n ? [] : [`earned ${shown(fees)}`]
  // What is lost is a debt on an account of ours.
  const lost = losses === 0n ? [] : [`lost ${shown(-losses)}`]
  return [kind, [...moved, ...earned, ...lost]]
}

function toldBack(
  { id, parentId, type, amount, kind, status }: Happened<'back'>['back'],
  shown: Shown,
): Told {
  const how = kind === null ? status : kind.replaceAll('_', ' ')
  const name = type === 'refund' ? 'refund' : 'came back'
  return [name, [shown(amount), how, `payment ${id} of ${parentId}`]]
}

function toldCall({
  kind,
  attempt,
  effect,
}: TimelineEvent & { kind: 'call' | 'worker_lost' }): readonly [string, readonly string[]] {
  const { fence, call, outcome, reason, sent, httpStatus, tookMs } = attempt
  if (kind === 'worker_lost') return ['worker lost', [`claim ${fence} never reported`]]
  const details = [outcome.replaceAll('_', ' ')]
  if (reason !== null) details.push(printable(reason))
  if (httpStatus !== null) details.push(`HTTP ${httpStatus}`)
  details.push(sent ? `${tookMs} ms` : 'not sent')
  if (effect !== null) details.push(`late: ${effect}`)
  return [`${attempt.kind} ${fence}.${call}`, details]
}

function by(actor: string | null, reason: string | null): string[] {
  const who = actor === null ? [] : [`by ${printable(actor)}`]
  return reason === null ? who : [...who, `“${printable(reason)}”`]
}

function signed(minor: bigint, shown: Shown): string {
  return minor > 0n ? `+${shown(minor)}` : shown(minor)
}
