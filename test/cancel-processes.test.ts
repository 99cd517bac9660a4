import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloneDatabase } from './databases.ts'
import { turnGateway } from '../tools/client.ts'
import { API, CALM, FAST, get, MOCK, post, until } from './process-kit.ts'
import { launch } from './programs.ts'

interface Shown {
  readonly payment_id: number
  readonly status: string
  readonly last_error: string | null
}

/** Races in all, and how many at once. `CANCEL_RACES` asks for more. */
const RACES = Number(process.env['CANCEL_RACES'] ?? 100)
const AT_ONCE = 10

test('between processes that race, a payment is canceled or charged, never both', async (t) => {
  const database = { DATABASE_URL: await cloneDatabase(t), ...FAST }
  const gateway = await launch(t, 'mock-gateway', {})
  const mock = gateway.url + MOCK
  await turnGateway(mock, CALM)
  const workerEnv = { ...database, PAYMENT_GATEWAY_URL: mock, GATEWAY_LOOKUP: 'consistent' }
  const [one, other] = await Promise.all([
    launch(t, 'api', database),
    launch(t, 'api', database),
    launch(t, 'worker', workerEnv),
    launch(t, 'worker', workerEnv),
  ])
  const opened = await post(`${one.url}${API}/users`, { balance: 1_000_000 })
  const user_id = opened.json['id']

  const answers = new Map<number, string>()
  const race = async (): Promise<void> => {
    const made = await post(`${one.url}${API}/payments/withdraw`, { user_id, amount: 1 })
    const id = Number(made.json['payment_id'])
    const reason = 'changed my mind'
    const said = await post(`${other.url}${API}/payments/${id}/cancel`, { reason })
    answers.set(id, said.status === 200 ? 'canceled' : String(said.json['code']))
  }
  for (let done = 0; done < RACES; done += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, race))
  }

  const charged = new Set<number>()
  const words = new Set(answers.values())
  for (const word of words) {
    assert.ok(['canceled', 'in_flight', 'payment_final', 'busy'].includes(word), word)
  }
  for (const [id, answer] of answers) {
    const shown = await until(`payment ${id} is final`, async () => {
      const payment = await get<Shown>(`${one.url}${API}/payments/${id}`)
      return ['success', 'failed'].includes(payment.status) && payment
    })
    const end = `${shown.status} ${shown.last_error}`
    assert.equal(end, answer === 'canceled' ? 'failed canceled' : 'success null')
    if (shown.status === 'success') charged.add(id)
  }
  const listed = await get<{ data: Shown[] }>(`${mock}/charges?limit=1000`)
  assert.deepEqual(
    listed.data.map(({ payment_id: id }) => id).toSorted((a, b) => a - b),
    [...charged].toSorted((a, b) => a - b),
    'exactly what was not canceled was charged',
  )
  const { held } = await get<{ held: number }>(`${one.url}${API}/users/${String(user_id)}`)
  assert.equal(held, 0)
})
