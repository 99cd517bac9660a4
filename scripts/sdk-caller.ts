/**
 * A caller that is killed and starts again: it deposits, withdraws or refunds once for each of so
 * many intents, through the SDK. Arguments: the service, the file of keys, a seed, the first intent
 * and the last, and a deposit of each user that is refunded in parts. Writes a line for each intent
 * that was answered.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileKeys } from '../sdk/typescript/src/file-keys.ts'
import { connect, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import { seededRandom } from '../src/domain/random.ts'

const [url = '', file = '', seed = '', first = '', last = '', deposits = ''] = process.argv.slice(2)
const refunded = deposits.split(',').map(Number)
const SIDE_BY_SIDE = 16
/** Pauses are shorter than with people's networks, in the same proportions. */
const PAUSES = 0.02

const keys = await fileKeys(file)
const { payments } = connect({
  url,
  keys,
  // So few that it gives up now and then.
  attemptsMax: 3,
  random: seededRandom(Number(seed)),
  sleep: (ms) => sleep(ms * PAUSES),
})

/** The first that nobody has begun. */
let next = Number(first)
await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work))
await keys.close()

async function work(): Promise<void> {
  while (next <= Number(last)) {
    const number = next
    next += 1
    await pay(number)
    process.stdout.write(`${number}\n`)
  }
}

/** Ask until there is an answer: what is unknown is asked again under its own key. */
async function pay(number: number): Promise<void> {
  const intent = `order-${number}`
  const place = number % refunded.length
  const [user_id, amount, description] = [1 + place, '1.00', intent]
  // A kind has intents of every user.
  const kind = Math.floor(number / refunded.length) % 3
  for (;;) {
    try {
      const answer =
        kind === 0
          ? await payments.deposit({ user_id, deposit: amount, description }, { intent })
          : kind === 1
            ? await payments.withdraw({ user_id, amount, description }, { intent })
            : await payments.refund(refunded[place] ?? 0, { amount, reason: intent }, { intent })
      if (!answer.ok) throw new Error(answer.problem.detail)
      return
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error
      process.stdout.write('unknown\n')
    }
  }
}
