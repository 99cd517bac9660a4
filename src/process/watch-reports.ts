import type { WatchSeen } from '../charging/watch.ts'
import type { Process } from './shared.ts'

/** So many things are remembered that were said. */
const SAID_MAX = 1_000

/**
 * Tells what looks at final payments of a gateway come to. What is booked is said once, what
 * contradicts the books, and what was executed and failed here, each time that it is seen. That a
 * payment is put off is said once until it is not any more, and why the gateway does not answer
 * once until it does.
 */
export function watchReports(
  log: Pick<Process['log'], 'info' | 'warn' | 'error'>,
  gateway: string,
): (seen: WatchSeen) => void {
  const said = new Set<bigint | string>()
  const once = (about: bigint | string, say: () => void): void => {
    if (said.has(about)) return
    if (said.size >= SAID_MAX) said.clear()
    said.add(about)
    say()
  }
  return ({ paymentId, what, refusals, reason = 'unknown' }) => {
    const about = { gateway, payment: Number(paymentId) }
    const inDoubt = refusals.filter(({ code }) => code === 'refund_in_doubt')
    if (what === 'charged') return log.error({ ...about, refusals }, CHARGED)
    const others = refusals.filter(({ code }) => code !== 'refund_in_doubt')
    if (what === 'booked') log.info(about, 'what came back of a payment is booked')
    if (others.length > 0) log.error({ ...about, refusals: others }, CONTRADICTED)
    if (what === 'no_word') return once(reason, () => log.warn({ ...about, reason }, NO_WORD))
    for (const one of said) if (typeof one === 'string') said.delete(one)
    if (what !== 'put_off') said.delete(paymentId)
    else if (inDoubt.length > 0)
      once(paymentId, () => log.warn({ ...about, refusals: inDoubt }, PUT_OFF))
  }
}

const CONTRADICTED =
  'the gateway says that something came back which the books cannot hold: look at the payment'
const CHARGED = 'the gateway says that it executed a payment that failed here: its letter says so'
const NO_WORD = 'the gateway does not say whether payments came back: it is asked again'
const PUT_OFF =
  'a refund at the gateway may be one of ours that is in doubt: it is not booked until that ' +
  'is known'
