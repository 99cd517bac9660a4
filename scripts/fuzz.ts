/**
 * Fuzz the real service by its own OpenAPI document: `npm run test:fuzz -- [--seed N] [--requests
 * N] [--json]`.
 *
 * Runs on the server that TEST_DATABASE_URL names, or on an embedded one in a temporary folder.
 * Exit code 0: nothing was found; 1: something was. The same seed makes the same requests.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/adapters/embedded-postgres.ts'
import { migrate } from '../src/adapters/migrate.ts'
import { checkBooks } from '../test/fuzz/books.ts'
import { prepare } from '../test/fuzz/prepare.ts'
import { fuzz, type FuzzReport } from '../test/fuzz/run.ts'
import { startTarget } from '../test/hostile/target.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_420
const BAR_WIDTH = 30
const DATABASE = 'payments_fuzz'

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
  const folder = fs.mkdtempSync(join(tmpdir(), 'payments-fuzz-'))
  // Open to pass through: as root, the server runs as somebody else.
  fs.chmodSync(folder, 0o711)
  const given = process.env['TEST_DATABASE_URL']
  const server = given
    ? null
    : await startEmbeddedPostgres({ dataDir: join(folder, 'data'), port: PORT })
  try {
    const report = await run(given ?? server?.url ?? '', options)
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : text(report))
    process.exitCode = report.findingsCount === 0 ? 0 : 1
  } finally {
    await server?.stop()
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function run(adminUrl: string, options: Options): Promise<FuzzReport> {
  const target = await startTarget(await freshDatabase(adminUrl))
  try {
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
  } finally {
    await target.stop()
  }
}

/** An empty, migrated database; the one of the last run is dropped. */
async function freshDatabase(adminUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  await client.query(`drop database if exists ${DATABASE} with (force)`)
  await client.query(`create database ${DATABASE}`)
  await client.end()
  const url = new URL(adminUrl)
  url.pathname = `/${DATABASE}`
  await migrate(url.href)
  return url.href
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
