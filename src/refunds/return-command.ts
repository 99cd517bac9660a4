import { Option, type Command } from 'commander'
import {
  parseIdArgument,
  parseRef,
  withActOptions,
  type ActOptions,
} from '../adapters/command-options.ts'
import {
  operatorHere,
  print,
  refusedAs,
  refusedBy,
  withOpen,
  type Opened,
} from '../adapters/commands.ts'
import { writeJson } from '../domain/exact-json.ts'
import { parseMoney } from '../domain/money.ts'
import type { SaidKind } from '../domain/returns.ts'
import { exponentsOf } from './exponents.ts'
import { bookReturns, type ReturnWorld } from './returns.ts'

/**
 * `payments return`: an operator's word about what came back at the gateway, booked on the database
 * itself, so that it works while no API runs. It ends with 1 when it is refused.
 */
export function returnCommand(program: Command, open: () => Promise<Opened<ReturnWorld>>): void {
  const command = program
    .command('return')
    .description('Book that a payment came back. The same --ref is booked once.')
    .argument('<payment>', 'the id of the payment that came back', parseIdArgument)
    .addOption(
      new Option('--kind <kind>', 'how it came back')
        .choices(['payout_returned', 'charged_back', 'refunded_there', 'dispute_won'])
        .makeOptionMandatory(),
    )
    .requiredOption('--amount <amount>', 'what came back, such as 12.50')
    .requiredOption('--ref <reference>', "the gateway's own reference of it", parseRef)
    .option('--besides-refund', 'it is not the refund that is in doubt')
  withActOptions(command).action(async (parentId: bigint, options: ReturnOptions) => {
    await withOpen(open, (world) => book(world, parentId, options))
  })
}

interface ReturnOptions extends ActOptions {
  readonly kind: SaidKind
  readonly amount: string
  readonly ref: string
  readonly besidesRefund?: boolean
}

async function book(world: ReturnWorld, parentId: bigint, options: ReturnOptions): Promise<void> {
  const { kind, ref, reason, besidesRefund = false, json } = options
  const exponent = (await exponentsOf(world.db, [parentId])).get(parentId)
  if (exponent === undefined) throw refusedAs('payment_not_found')
  const money = parseMoney(options.amount, 1n, exponent)
  if (!money.ok) throw refusedBy({ code: money.problem, exponent })
  const draft = { parentId, kind, ref, amount: money.minor, besidesRefund, typed: true } as const
  const [answer] = await bookReturns(world, operatorHere(reason), [draft])
  if (answer === undefined || answer.kind === 'refused')
    throw refusedBy(answer?.refusal ?? { code: 'payment_not_found' })
  const booked = answer.kind === 'booked'
  const id = booked ? answer.payment.id : answer.paymentId
  const canceled = booked ? answer.canceled.map(Number) : []
  if (json) return print(writeJson({ payment_id: Number(id), booked, canceled }))
  if (!booked) return print(`It was booked before, as payment ${id}.`)
  const also = canceled.length === 0 ? '' : ` Refunds canceled: ${canceled.join(', ')}.`
  print(`Booked as payment ${id}.${also}`)
}
