/**
 * Prove that the SDK pays once: `npm run test:sdk -- [--intents N] [--kills N] [--seed N]`.
 *
 * Exit code 0: as many payments as intents; 1: not.
 */
import { Command } from 'commander'
import { proveSdk } from './prove-sdk.ts'
import { withTarget } from './own-target.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_430

interface Options {
  readonly intents: string
  readonly kills: string
  readonly seed: string
}

async function main(options: Options): Promise<void> {
  const intents = Number(options.intents)
  const proved = await withTarget({ name: 'sdk', port: PORT }, ({ url }, folder) =>
    proveSdk({ url, folder, intents, kills: Number(options.kills), seed: Number(options.seed) }),
  )
  const { payments, kinds, kills, unknown, fates } = proved
  const requests = Object.values(fates).reduce((sum, count) => sum + count, 0)
  console.log(`${intents} intents, ${payments} payments of ${proved.intents} of them`)
  console.log(`of each kind: ${JSON.stringify(kinds)}`)
  console.log(`${requests} requests: ${JSON.stringify(fates)}`)
  console.log(`${kills} times killed, ${unknown} times not known before it was asked again`)
  process.exitCode = payments === intents && proved.intents === intents ? 0 : 1
}

await new Command('sdk-proof')
  .description('Pay through a proxy that drops, doubles and delays, and count the payments.')
  .option('--intents <number>', 'how many payments are meant', '10000')
  .option('--kills <number>', 'how often the caller is killed', '5')
  .option('--seed <number>', 'chance', '1')
  .action(main)
  .parseAsync()
process.exit()
