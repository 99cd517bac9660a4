import { InvalidArgumentError, Option, type Command } from 'commander'
import {
  operatorHere,
  parseId,
  parseReason,
  print,
  refusedAs,
  withOpen,
} from '../adapters/commands.ts'
import type { Opened } from '../adapters/commands.ts'
import type { ActWorld } from '../dead-letters/letter-act.ts'
import { correct } from '../dead-letters/correct.ts'
import { writeJson } from '../domain/json.ts'
import { parseMoney } from '../domain/money.ts'
import type { SaidKind } from '../domain/returns.ts'
import { exponentsOf } from './exponents.ts'
import { bookReturns, type ReturnWorld } from './returns.ts'

type MoneyWorld = ReturnWorld & Pick<ActWorld, 'terms'>

/**
 * `payments return` and `payments correct`: an operator's word about money that moved at the
 * gateway, booked on the database itself, so that it works while no API runs. Each ends with 1 when
 * it is refused.
 */
export function moneyCommands(program: Command, open: () => Promise<Opened<MoneyWorld>>): void {
  program
    .command('return')
    .description('Book that a payment came back. The same --ref is booked once.')
    .argument('<payment>', 'the id of the payment that came back', parseId)
    .addOption(
      new Option('--kind <kind>', 'how it came back')
        .choices(['payout_returned', 'charged_back', 'refunded_there', 'dispute_won'])
        .makeOptionMandatory(),
    )
    .requiredOption('--amount <amount>', 'what came back, such as 12.50')
    .requiredOption('--ref <reference>', "the gateway's own reference of it", parseRef)
    .requiredOption('--reason <text>', 'why; kept in the record for good', parseReason)
    .option('--besides-refund', 'it is not the refund that is in doubt')
    .option('--json', 'print JSON')
    .action(async (parentId: bigint, options: ReturnOptions) => {
      await withOpen(open, (world) => book(world, parentId, options))
    })
  program
    .command('correct')
    .description('Book a failed payment that the gateway turned out to have executed.')
    .argument('<letter>', 'the id of its dead letter', parseId)
    .requiredOption('--reason <text>', 'why; kept in the record for good', parseReason)
    .option('--ref <reference>', 'found at the gateway as this, without a late yes', parseRef)
    .option('--against-evidence', 'although the gateway had said no')
    .option('--besides-redrive', 'it is no redrive that succeeded without a reference')
    .option('--json', 'print JSON')
    .action(async (letterId: bigint, { reason, ref, json, ...more }: CorrectOptions) => {
      await withOpen(open, async (world) => {
        const word = { letterId, gatewayRef: ref ?? null, ...more }
        const [answer] = await correct(world, operatorHere(reason), [word])
        if (answer === undefined || answer.kind === 'refused')
          throw refusedAs(answer?.refusal.code ?? 'letter_not_found')
        const { paymentId } = answer
        const body = { letter_id: Number(letterId), payment_id: Number(paymentId) }
        print(
          json ? writeJson(body) : `Payment ${paymentId} is booked; letter ${letterId} is closed.`,
        )
      })
    })
}

interface CorrectOptions {
  readonly reason: string
  readonly ref?: string
  readonly againstEvidence?: boolean
  readonly besidesRedrive?: boolean
  readonly json?: boolean
}

interface ReturnOptions {
  readonly kind: SaidKind
  readonly amount: string
  readonly ref: string
  readonly reason: string
  readonly besidesRefund?: boolean
  readonly json?: boolean
}

async function book(world: ReturnWorld, parentId: bigint, options: ReturnOptions): Promise<void> {
  const { kind, ref, reason, besidesRefund = false, json } = options
  const exponent = (await exponentsOf(world.db, [parentId])).get(parentId)
  if (exponent === undefined) throw refusedAs('payment_not_found')
  const money = parseMoney(options.amount, 1n, exponent)
  if (!money.ok) throw refusedAs(money.problem)
  const draft = { parentId, kind, ref, amount: money.minor, besidesRefund }
  const [answer] = await bookReturns(world, operatorHere(reason), [draft])
  if (answer === undefined || answer.kind === 'refused')
    throw refusedAs(answer?.refusal.code ?? 'payment_not_found')
  const booked = answer.kind === 'booked'
  const id = booked ? answer.payment.id : answer.paymentId
  const canceled = booked ? answer.canceled.map(Number) : []
  if (json) return print(writeJson({ payment_id: Number(id), booked, canceled }))
  if (!booked) return print(`It was booked before, as payment ${id}.`)
  const also = canceled.length === 0 ? '' : ` Refunds canceled: ${canceled.join(', ')}.`
  print(`Booked as payment ${id}.${also}`)
}

function parseRef(text: string): string {
  if (/^[\x21-\x7e]{1,200}$/.test(text)) return text
  throw new InvalidArgumentError('It has 1 to 200 visible ASCII characters.')
}
