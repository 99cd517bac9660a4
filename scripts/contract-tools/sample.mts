import type { components, operations, paths } from './openapi.d.ts'

// A program over the types that openapi-typescript makes: everything is known, nothing is cast.

type Deposit = paths['/api/v1/payments/deposit']['post']
type Body = Deposit['requestBody']['content']['application/json']
type Accepted = Deposit['responses'][202]['content']['application/json']
type Problem = components['schemas']['Problem']
type Payment = components['schemas']['Payment']

const body: Body = { user_id: 1, deposit: '200.00', reference: 'order-4711' }

/** What a program says of an answer, by its status. */
async function pay(url: string): Promise<string> {
  const answer = await fetch(`${url}/api/v1/payments/deposit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (answer.status === 202) {
    const accepted: Accepted = await answer.json()
    const id: number = accepted.payment_id
    return `${accepted.status} ${id} ${accepted.deposit.toFixed(2)}`
  }
  const problem: Problem = await answer.json()
  const code: components['schemas']['ErrorCode'] = problem.code
  return code === 'insufficient_funds' ? `it takes ${problem.required ?? 0}` : problem.detail
}

function isFinal({ status }: Payment): boolean {
  return status === 'success' || status === 'failed'
}

const filter: operations['listPayments']['parameters']['query'] = { status: 'unknown', limit: 10 }

export { filter, isFinal, pay }
