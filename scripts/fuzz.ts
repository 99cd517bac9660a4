/**
 * Fuzz the real service by its own OpenAPI document: `npm run test:fuzz -- [--seed N] [--requests
 * N] [--json]`.
 *
 * Runs on the server that TEST_DATABASE_URL names, or on an embedded one in a temporary folder.
 * Exit code 0: nothing was found; 1: something was. The same seed makes the same requests.
 */
import { Command } from 'commander'
import { checkBooks } from '../test/fuzz/books.ts'
import { prepare } from '../test/fuzz/prepare.ts'
import { fuzz, type FuzzReport } from '../test/fuzz/run.ts'
import { withTarget } from './own-target.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_420
const BAR_WIDTH = 30

interface Options {
  readonly seed: string
  readonly requests: string
  readonly json?: true
}

const command = new Command('fuzz')
  .description('Send hostile requests, made from the OpenAPI document, to the real service.')
  .option('--seed <number>', 'the requests to make', '1')
  .option('--requests <number>', 'how many, at least', '20000')
  .option('--json', 'print the report as JSON')
  .action(main)

async function main(options: Options): Promise<void> {
  const report = await run(options)
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : text(report))
  process.exitCode = report.findingsCount === 0 ? 0 : 1
}

function run(options: Options): Promise<FuzzReport> {
  return withTarget({ name: 'fuzz', port: PORT }, async (target) => {
    await prepare(target)
    const requests = Number(options.requests)
    const quiet = options.json === true || !process.stderr.isTTY
    const report = await fuzz(target, {
      seed: Number(options.seed),
      requests,
      stories: true,
      onProgress: quiet ? () => undefined : (done, found) => draw(done, requests, found),
    })
    const books = await checkBooks(target)
    return {
      ...report,
      findings: [...report.findings, ...books],
      findingsCount: report.findingsCount + books.length,
    }
  })
}

function draw(done: number, requests: number, found: number): void {
  const part = Math.min(1, done / requests)
  const filled = Math.round(part * BAR_WIDTH)
  const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled)
  const end = part === 1 ? '\n' : ''
  process.stderr.write(`\r${bar} ${done} of ${requests} requests, ${found} findings ${end}`)
}

function text(report: FuzzReport): string {
  const { requests, seconds, operations, stories, slowestMs, statuses, seed } = report
  const lines = [
    `${requests} requests in ${seconds} s to ${operations} operations, ${stories} stories, seed ${seed}`,
    `slowest answer ${slowestMs} ms`,
    `answers: ${Object.entries(statuses)
      .map(([status, count]) => `${status} × ${count}`)
      .join(', ')}`,
    ...report.findings.map(({ fault, what, request }) => `\n${fault}: ${what}\n  ${request}`),
    `${report.findingsCount} findings`,
  ]
  return `${lines.join('\n')}\n`
}

await command.parseAsync()
process.exit()
