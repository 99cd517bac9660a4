import { Option, type Command } from 'commander'
import { printPart, withOpen, type Opened } from '../adapters/commands.ts'
import { openSpool } from '../adapters/spool.ts'
import { exportHledger, type ExportWorld } from './hledger.ts'

const HELP = `
Reads only, in one snapshot of each shard, and runs beside live traffic. No
transaction waits for whoever reads the journal: a shard is first kept in a
compressed file of TMPDIR, about 30 bytes for each entry. Where the reader
goes away, it ends with 1: what was printed is not the whole journal.
Behind the entries of a user stands an assertion that the stored balances are
their sums:

  payments export > books.journal && hledger -f books.journal check`

/** `payments export`: the journal for another program to add up again. */
export function exportCommand(
  program: Command,
  open: () => Promise<Opened<Omit<ExportWorld, 'spool'>>>,
): void {
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
      await withOpen(open, ({ db }) => exportHledger({ db, spool: openSpool }, printPart))
    })
}
