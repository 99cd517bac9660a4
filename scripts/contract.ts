/**
 * Ask the service by its own document, with a program that nobody here wrote: Schemathesis (PyPI).
 * `npm run test:contract -- [--requests N] [--seed N]`
 *
 * Exit code 0: no answer contradicts the document, or there is no Python to run it with, which is
 * said; 1: something was found.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { checkBooks } from '../test/fuzz/books.ts'
import { prepare } from '../test/fuzz/prepare.ts'
import type { Target } from '../test/hostile/target.ts'
import { withTarget } from './own-target.ts'
import { pythonWith } from './python.ts'

/** Away from the ports of the service and of the tests. */
const PORT = 55_440
const SCHEMATHESIS = 'schemathesis==4.32.5'
const REQUESTS_OF_A_RUN = 4_000

/**
 * The checks that are left out. A request can be valid by the document and refused all the same,
 * for lack of funds: the first is about nothing else. The mock gateway answers 5xx on purpose.
 */
const NOT_CHECKED = 'positive_data_acceptance'
const PARTS = [
  { name: 'the service', filter: ['--exclude-tag', 'Mock gateway'], unchecked: NOT_CHECKED },
  {
    name: 'the mock gateway',
    filter: ['--include-tag', 'Mock gateway'],
    unchecked: `${NOT_CHECKED},not_a_server_error`,
  },
] as const

/**
 * What counts as a refusal of what the document forbids, beside what counts by itself: a URL or a
 * body can be so long that nobody reads what is wrong in it.
 */
const REFUSED = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 428, 429, 431]
const CONFIG = `[checks]
negative_data_rejection.expected-statuses = [${REFUSED.map((status) => `"${status}"`).join(', ')}]
`

interface Options {
  readonly requests: string
  readonly seed: string
}

interface Report {
  readonly test_cases: { readonly generated: number }
}

async function main({ requests, seed }: Options): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'payments-schemathesis-'))
  process.once('exit', () => rmSync(home, { recursive: true, force: true }))
  const python = pythonWith(home, [SCHEMATHESIS])
  if ('missing' in python) return console.log(`skipped: ${python.missing}`)
  await withTarget({ name: 'contract', port: PORT }, async (target, folder) => {
    await prepare(target)
    const document = await fetch(`${target.url}/openapi.json`)
    writeFileSync(join(folder, 'openapi.json'), await document.text())
    writeFileSync(join(folder, 'schemathesis.toml'), CONFIG)
    const program = python.program('schemathesis')
    const ask = (part: (typeof PARTS)[number], number: number, size: number) =>
      run(target, { part, program, folder, seed: number, size })

    let asked = await ask(PARTS[1], Number(seed), 1)
    await target.turn({ decline: 0 })
    for (let turn = Number(seed); asked < Number(requests); turn += 1) {
      const left = Math.min(REQUESTS_OF_A_RUN, Number(requests) - asked)
      asked += await ask(PARTS[0], turn, left)
      if (process.exitCode === 1) break
    }
    const broken = await checkBooks(target)
    for (const finding of broken) console.log(finding)
    const bugs = target.bugs.length
    console.log(`${asked} requests, ${broken.length} broken rules, ${bugs} errors in the log`)
    if (broken.length > 0 || bugs > 0) process.exitCode = 1
  })
}

interface Run {
  readonly part: (typeof PARTS)[number]
  readonly program: string
  readonly folder: string
  readonly seed: number
  /** About how many requests. */
  readonly size: number
}

/** One run; returns how many requests it made. */
async function run(target: Target, { part, program, folder, seed, size }: Run): Promise<number> {
  const report = join(folder, 'report.json')
  // The phase of random requests takes so many for each operation; the others a fixed number.
  const each = Math.max(5, Math.round(size / 60))
  const settings = {
    '--url': target.url,
    '--seed': String(seed),
    '--checks': 'all',
    '--exclude-checks': part.unchecked,
    '--max-examples': String(each),
    // `wait` lets a request take 30 seconds.
    '--max-response-time': '40',
    '--request-timeout': '60',
    '--report': 'json',
    '--report-json-path': report,
  }
  const switches = ['--continue-on-failure', '--no-color', ...part.filter]
  const args = ['run', join(folder, 'openapi.json'), ...Object.entries(settings).flat()]
  // The service is in this process, and has to answer meanwhile.
  const said = await new Promise<string | null>((done) => {
    execFile(
      program,
      [...args, ...switches],
      { cwd: folder, maxBuffer: 1 << 28 },
      (error, stdout, stderr) => done(error === null ? null : `${stdout}${stderr}`),
    )
  })
  const { generated } = (JSON.parse(readFileSync(report, 'utf8')) as Report).test_cases
  console.log(`${part.name}, seed ${seed}: ${generated} requests, ${said === null ? 'ok' : 'FAIL'}`)
  if (said !== null) {
    console.log(said)
    process.exitCode = 1
  }
  return generated
}

await new Command('contract')
  .description('Ask the service by its own document, and hold its answers against it.')
  .option('--requests <number>', 'how many, at least', '20000')
  .option('--seed <number>', 'chance', '1')
  .action(main)
  .parseAsync()
process.exit()
