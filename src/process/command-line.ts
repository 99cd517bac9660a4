import { Command, CommanderError, Help, type Option } from 'commander'
import { asksForJson, CommandMisused, failureJson } from '../adapters/commands.ts'
import { ConfigError } from '../config/config-error.ts'
import { printableLines } from '../domain/printable.ts'

/** Exit codes: what was asked could not be done; the configuration or the call is wrong. */
const FAILED = 1
const MISUSED = 2

/** How long a process that failed may take to end by itself, in milliseconds. */
const LINGER_MS = 1_000

/** A command line whose mistakes end with 2, and whose help has defaults as people type them. */
export function newProgram(name: string): Command {
  return (
    new Command(name)
      .showHelpAfterError()
      // Throws instead of ending the process with a code that means something else.
      .exitOverride()
      // Where JSON is asked for, it is said as JSON, by whoever ends the process.
      .configureOutput({
        writeErr(text) {
          if (!asksForJson(process.argv.slice(2))) process.stderr.write(text)
        },
      })
      .configureHelp({ optionDescription })
  )
}

/** An option with its default as people type it: no quotes, no brackets, and nothing for none. */
function optionDescription(option: Option): string {
  const text = new Help().optionDescription(option).replace(' (default: [])', '')
  return text.replace(/\(default: .*\)$/, (said) => said.replace(/[[\]"]/g, ''))
}

/** Do what the command line of this process says. A failure is a sentence and an exit code. */
export function runProgram(parse: (args: readonly string[]) => Promise<unknown>): void {
  for (const stream of [process.stdout, process.stderr]) {
    // Nobody reads any more, as behind `| head`: what a command does is not stopped by that.
    stream.on('error', (error: Error & { code?: string }) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
  const args = process.argv.slice(2)
  parse(args).catch((error: unknown) => {
    const code = codeOf(error)
    process.exitCode = code
    if (code !== 0 && asksForJson(args)) process.stderr.write(`${failureJson(error, code)}\n`)
    // What the parser has to say it has said.
    else if (!(error instanceof CommanderError)) {
      const text = error instanceof Error ? error.message : String(error)
      process.stderr.write(`${printableLines(text)}\n`)
    }
    // Everything is closed. Should anything still hold the process, it does not hold it for good.
    setTimeout(() => {
      process.stderr.write('Something still held the process: it is ended.\n')
      process.exit()
    }, LINGER_MS).unref()
  })
}

function codeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  return error instanceof ConfigError || error instanceof CommandMisused ? MISUSED : FAILED
}
