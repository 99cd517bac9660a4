import { send } from '../app/api.ts'
import { go } from '../app/router.ts'
import { hrefOf } from '../exact/route.ts'
import { words } from '../words/words.ts'
import { ask, tell } from './dialog.tsx'

/** Ask for a payment and make it. */
export function askPayment(user = ''): void {
  const w = words.value
  ask({
    title: w.newPayment,
    says: w.newPaymentSays,
    fields: [
      {
        name: 'type',
        label: w.type,
        choices: [
          ['deposit', w.types.deposit],
          ['withdraw', w.types.withdraw],
        ],
      },
      { name: 'user', label: w.user, initial: user },
      { name: 'amount', label: w.amount, initial: '10' },
    ],
    verb: w.make,
    run({ type = '', user: id = '', amount = '' }, key) {
      const body = { user_id: Number(id), [type === 'deposit' ? type : 'amount']: amount }
      return send('POST', `/payments/${type}`, body, key)
    },
    done: show,
  })
}

/** The first steps of a new database: a user with money, and a deposit. */
export async function tryItOut(): Promise<void> {
  const w = words.value
  const user = await send<{ id: number }>('POST', '/users', { balance: '1000' })
  if (user.kind !== 'ok')
    return tell(w.tryIt, user.kind === 'refused' ? user.problem.detail : w.apiAway)
  const body = { user_id: user.data.id, deposit: '200' }
  const made = await send('POST', '/payments/deposit', body)
  if (made.kind === 'ok') show(made.data)
  else tell(w.tryIt, made.kind === 'refused' ? made.problem.detail : w.apiAway)
}

function show(made: unknown): void {
  go(hrefOf('payments', (made as { payment_id: number }).payment_id))
}
