import { once } from 'node:events'
import { Option, type Command } from 'commander'
import { withOpen, type Opened } from '../adapters/commands.ts'
import { exportHledger, type ExportWorld } from './hledger.ts'

const HELP = `
Reads only, in one snapshot of each shard, and runs beside live traffic.
Behind the entries of a user stands an assertion that the stored balances are
their sums:

  payments export > books.journal && hledger -f books.journal check`

/** `payments export`: the journal for another program to add up again. */
export function exportCommand(program: Command, open: () => Promise<Opened<ExportWorld>>): void {
  program
    .command('export')
    .description('Print the whole journal, for another program to add up again.')
    .addOption(
      new Option('--format <name>', 'what the other program reads')
        .choices(['hledger'])
        .default('hledger'),
    )
    .addHelpText('after', HELP)
    .action(async () => {
      await withOpen(open, (world) =>
        exportHledger(world, async (text) => {
          if (!process.stdout.write(text)) await once(process.stdout, 'drain')
        }),
      )
    })
}
