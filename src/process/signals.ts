import type { Logger } from 'pino'
import type { Closing } from './closing.ts'

/** Exit code of a process that ends by itself or cannot stop in order. */
const FAILED = 1

/** How a process that runs comes to its end. */
interface Ending {
  /** Whether somebody has asked it to end. */
  begun(): boolean
  /** End it, in order, as whoever holds its group together asks. */
  asked(): void
  /** End it, in order, with this code. */
  with(code: number): void
  /** End it, in order, with a sentence and a code that says so. */
  failed(error: Error): void
}

/**
 * End in order on the first SIGTERM or SIGINT, at once on the second. A stop that takes longer than
 * its limit ends the process anyway: leases run out, and nothing that was answered is lost.
 */
export function endInOrder(stopMsMax: number, log: Logger, stops: Closing): Ending {
  let begun = false
  const end = async (code: number) => {
    begun = true
    const limit = setTimeout(() => {
      log.error('stopping took too long')
      process.exit(FAILED)
    }, stopMsMax)
    limit.unref()
    try {
      await stops.close()
      log.info('stopped')
      process.exit(code)
    } catch (error) {
      log.error({ err: error }, 'stopping failed')
      process.exit(FAILED)
    }
  }
  const signaled = (signal: NodeJS.Signals) => {
    if (begun) process.exit(FAILED)
    log.info({ signal }, 'stopping: work in flight ends first; a second signal stops at once')
    void end(0)
  }
  process.on('SIGTERM', signaled)
  process.on('SIGINT', signaled)
  return {
    begun: () => begun,
    asked: () => (begun ? undefined : void end(0)),
    with: (code) => (begun ? undefined : void end(code)),
    failed(error) {
      if (begun) return
      process.stderr.write(`${error.message}\n`)
      void end(FAILED)
    },
  }
}
