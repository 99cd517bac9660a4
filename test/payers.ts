import type { Reply } from './serve.ts'

type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Reply>

/** Users who pay a cent at a time, each under a key, and what was answered. */
export function payers(call: Call) {
  /** By key, the payment that was answered. */
  const taken = new Map<string, number>()
  return {
    taken,
    async pay(user: number, key: string): Promise<Reply> {
      const order = { user_id: user, amount: 1 }
      const answer = await call('POST', '/payments/withdraw', order, { 'idempotency-key': key })
      if (answer.status === 202) taken.set(key, Number(answer.body['payment_id']))
      return answer
    },
    /** Whether all of these have succeeded. */
    async allDone(ids: Iterable<number>): Promise<boolean> {
      for (const id of ids) {
        if ((await call('GET', `/payments/${id}`)).body['status'] !== 'success') return false
      }
      return true
    },
  }
}
