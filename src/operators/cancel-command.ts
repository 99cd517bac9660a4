import type { Command } from 'commander'
import { parseIdArgument, withActOptions, type ActOptions } from '../adapters/command-options.ts'
import { operatorHere, print, refusedBy, withOpen, type Opened } from '../adapters/commands.ts'
import { writeJson } from '../domain/exact-json.ts'
import { cancelUnderKey, type CancelWorld } from './cancel.ts'

/**
 * `payments cancel`: end a payment of which nothing was sent, or have its gateway end it, on the
 * database itself, so that it works while no API runs. It ends with 1 when the payment goes on.
 */
export function cancelCommand(program: Command, open: () => Promise<Opened<CancelWorld>>): void {
  const command = program
    .command('cancel')
    .description('End a payment that was not sent, or ask its gateway to end a pending one.')
    .argument('<payment>', 'the payment id', parseIdArgument)
  withActOptions(command).action(async (id: bigint, { reason, json }: ActOptions) => {
    await withOpen(open, async (world) => {
      const { answer } = await cancelUnderKey(world, { id, key: null }, operatorHere(reason))
      if (answer.kind === 'refused') throw refusedBy(answer.refusal)
      const body = { payment_id: Number(id), canceled: true }
      print(json ? writeJson(body) : `Payment ${id} is canceled.`)
    })
  })
}
