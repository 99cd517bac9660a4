import type { Command } from 'commander'
import {
  parseIdArgument,
  parseRef,
  withActOptions,
  type ActOptions,
} from '../adapters/command-options.ts'
import { operatorHere, print, refusedBy, withOpen, type Opened } from '../adapters/commands.ts'
import { writeJson } from '../domain/exact-json.ts'
import { correct } from './correct.ts'

/**
 * `payments correct`: an operator's word that a failed payment was executed, booked on the database
 * itself, so that it works while no API runs. It ends with 1 when it is refused.
 */
export function correctCommand(
  program: Command,
  open: () => Promise<Opened<Parameters<typeof correct>[0]>>,
): void {
  const command = program
    .command('correct')
    .description('Book a failed payment that the gateway turned out to have executed.')
    .argument('<letter>', 'the id of its dead letter', parseIdArgument)
    .option('--ref <reference>', 'found at the gateway as this, without a late yes', parseRef)
    .option('--against-evidence', 'although the gateway had said no')
    .option('--besides-redrive', 'it is no redrive that succeeded without a reference')
  withActOptions(command).action(
    async (letterId: bigint, { reason, ref, json, ...more }: CorrectOptions) => {
      await withOpen(open, async (world) => {
        const word = { letterId, gatewayRef: ref ?? null, ...more }
        const [answer] = await correct(world, operatorHere(reason), [word])
        if (answer === undefined || answer.kind === 'refused')
          throw refusedBy(answer?.refusal ?? { code: 'letter_not_found' })
        const { paymentId } = answer
        const body = { letter_id: Number(letterId), payment_id: Number(paymentId) }
        print(
          json ? writeJson(body) : `Payment ${paymentId} is booked; letter ${letterId} is closed.`,
        )
      })
    },
  )
}

interface CorrectOptions extends ActOptions {
  readonly ref?: string
  readonly againstEvidence?: boolean
  readonly besidesRedrive?: boolean
}
