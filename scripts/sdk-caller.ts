/**
 * A caller that is killed and starts again: it deposits once for each of so many intents, through
 * the SDK. Arguments: the service, the file of keys, a seed, the first intent and the last. Writes
 * a line for each that was answered.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileKeys } from '../sdk/typescript/src/file-keys.ts'
import { connect, OutcomeUnknown } from '../sdk/typescript/src/index.ts'
import { seededRandom } from '../src/domain/random.ts'

const [url = '', file = '', seed = '', first = '', last = ''] = process.argv.slice(2)
const SIDE_BY_SIDE = 16
/** Pauses are shorter than with people's networks, in the same proportions. */
const PAUSES = 0.02
const USERS = 10

const keys = await fileKeys(file)
const { payments } = connect({
  url,
  keys,
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
    await deposit(`order-${number}`, 1 + (number % USERS))
    process.stdout.write(`${number}\n`)
  }
}

/** Ask until there is an answer: what is unknown is asked again under its own key. */
async function deposit(intent: string, user_id: number): Promise<void> {
  for (;;) {
    try {
      const body = { user_id, deposit: '1.00', metadata: { intent } }
      const answer = await payments.deposit(body, { intent })
      if (!answer.ok) throw new Error(answer.problem.detail)
      return
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error
      process.stdout.write('unknown\n')
    }
  }
}
