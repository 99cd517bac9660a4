import { API } from '../hostile/target.ts'
import type { Connection, Received, Wire } from '../hostile/wire.ts'
import type { Random } from './plan.ts'

/** Payments of one story. */
const PAYMENTS_MAX = 6

interface Client {
  readonly post: (path: string, body: unknown, key?: string) => Promise<Received>
  readonly get: (path: string) => Promise<Received>
  readonly expect: (holds: boolean, what: string) => void
  readonly random: Random
}

/**
 * Open a user, pay in and out under keys, replay every request, change its body, read everything
 * back page by page, and compare it with what was answered. Resolves to what does not fit.
 */
export async function tell(
  connection: Connection,
  random: Random,
  onAnswer: (answer: Received | null) => void,
): Promise<readonly string[]> {
  const broken: string[] = []
  const ask = async (request: Wire): Promise<Received> => {
    const answer = await connection.ask(request)
    onAnswer(answer)
    return answer ?? { status: 0, headers: {}, body: '{}' }
  }
  const client: Client = {
    post: (path, body, key) => {
      const headers = key === undefined ? [] : [['Idempotency-Key', key] as const]
      const request = { method: 'POST', path: API + path, body: JSON.stringify(body), headers }
      return ask(request)
    },
    get: (path) => ask({ path: API + path }),
    expect: (holds, what) => {
      if (!holds) broken.push(what)
    },
    random,
  }
  await live(client)
  return broken
}

async function live(client: Client): Promise<void> {
  const { post, get, expect, random } = client
  const balance = Math.floor(random() * 1_000_000) / 100
  const opened = await post('/users', { balance: random() < 0.5 ? balance : balance.toFixed(2) })
  expect(opened.status === 201, `a user was not opened: ${opened.status}`)
  const { id } = json<{ id: number }>(opened)
  expect(json<{ balance: number }>(opened).balance === balance, 'another opening balance')

  const accepted: number[] = []
  const count = 1 + Math.floor(random() * PAYMENTS_MAX)
  for (let index = 0; index < count; index += 1) {
    const payment = await pay(client, id, `story-${id}-${index}`)
    if (payment !== null) accepted.push(payment)
  }
  await tooMuch(client, id)
  const user = json<{ balance: number; held: number }>(await get(`/users/${id}`))
  expect(user.balance >= 0 && user.held >= 0, `user ${id} has less than nothing`)
  await readBack(client, id, accepted)
}

/** A body without the id of its request, in which alone a replay differs. */
function sameBody(body: string): string {
  return body.replace(/"instance":"[^"]*"/, '')
}

/** One payment under a key, three ways again. Resolves to its id, or null if it was refused. */
async function pay(client: Client, userId: number, key: string): Promise<number | null> {
  const { post, get, expect, random } = client
  const type = random() < 0.6 ? 'deposit' : 'withdraw'
  const field = type === 'deposit' ? 'deposit' : 'amount'
  const amount = 1 + Math.floor(random() * 1_000)
  const body = { user_id: userId, [field]: amount }
  const first = await post(`/payments/${type}`, body, key)
  const again = await post(`/payments/${type}`, { ...body, [field]: `${amount}.00` }, `"${key}"`)
  const same = again.status === first.status && sameBody(again.body) === sameBody(first.body)
  expect(same, `${key} was not replayed`)
  expect(again.headers['idempotent-replayed'] === 'true', `the replay of ${key} does not say so`)
  const changed = await post(`/payments/${type}`, { ...body, [field]: amount + 1 }, key)
  expect(changed.status === 422, `${key} took another amount: ${changed.status}`)
  const other = type === 'deposit' ? 'withdraw' : 'deposit'
  const otherField = other === 'deposit' ? 'deposit' : 'amount'
  const turned = await post(`/payments/${other}`, { user_id: userId, [otherField]: amount }, key)
  expect(turned.status === 422, `${key} took another type: ${turned.status}`)
  expect([202, 402].includes(first.status), `${key} was answered ${first.status}`)
  const { payment_id: id } = json<{ payment_id: number }>(first)
  const seen = json<{ user_id: number; type: string; amount: number }>(await get(`/payments/${id}`))
  expect(seen.user_id === userId && seen.type === type, `payment ${id} is another's`)
  expect(seen.amount === amount, `payment ${id} is of ${seen.amount} instead of ${amount}`)
  return id
}

async function tooMuch({ post, get, expect }: Client, userId: number): Promise<void> {
  const before = await get(`/users/${userId}`)
  const refused = await post('/payments/withdraw', { user_id: userId, amount: 9_999_999_999 })
  expect(refused.status === 402, `more than there is was paid out: ${refused.status}`)
  // Payments in progress may move the balance meanwhile, but never below nothing.
  const { balance } = json<{ balance: number }>(await get(`/users/${userId}`))
  expect(before.status === 200 && balance >= 0, `user ${userId} overdrew`)
}

async function readBack(
  client: Client,
  userId: number,
  accepted: readonly number[],
): Promise<void> {
  const { get, expect } = client
  const listed: number[] = []
  let cursor = ''
  // One page a payment, and one more in case that there are too many.
  for (let page = 0; page <= accepted.length; page += 1) {
    const answer = await get(`/payments?user_id=${userId}&limit=1${cursor}`)
    const { data, next_cursor: next } = json<Page>(answer)
    listed.push(...(data ?? []).map((payment) => payment.payment_id))
    if (next === null || next === undefined) break
    await misuse(client, userId, next)
    cursor = `&cursor=${next}`
  }
  const newestFirst = accepted.toSorted((one, other) => other - one)
  expect(listed.join() === newestFirst.join(), `user ${userId}: listed ${listed.join()}`)
}

interface Page {
  readonly data?: readonly { readonly payment_id: number }[]
  readonly next_cursor?: string | null
}

/** A cursor is good for its own list and filter alone. */
async function misuse({ get, expect }: Client, userId: number, cursor: string): Promise<void> {
  const paths = [
    `/payments?user_id=${userId + 1}`,
    '/payments?x=1',
    `/users/${userId}/transactions?`,
  ]
  for (const path of paths) {
    const { status } = await get(`${path}&cursor=${cursor}`)
    expect(status === 400, `${path} took a cursor of another list: ${status}`)
  }
}

/** What the answers of this API are is checked by the oracle; here a wrong one breaks the story. */
function json<Body>({ body }: Received): Body {
  try {
    return JSON.parse(body) as Body
  } catch {
    return {} as Body
  }
}
