import type { Command } from 'commander'

/** Run a benchmark by its command line. One that fails says where, and ends with 2. */
export function runBench(command: Command): void {
  command.parseAsync().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`)
    process.exit(2)
  })
}
