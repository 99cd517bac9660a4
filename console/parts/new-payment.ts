import { get, newKey, send } from '../app/api.ts'
import { go } from '../app/router.ts'
import type { User } from '../app/shapes.ts'
import type { Answer } from '../exact/answer.ts'
import { hrefOf, isId } from '../exact/route.ts'
import { refusal, typedAmount, words } from '../words/words.ts'
import { refusedHere } from '../exact/answer.ts'
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
    async run({ type = '', user: id = '', amount = '' }, key) {
      if (!isId(id)) return refusedHere(w.userBad)
      // How an amount is read depends on the currency of its account.
      const account = await get<User>(`/users/${id}`)
      if (account.kind !== 'ok') return account
      const { currency } = account.data
      const read = typedAmount(amount, currency)
      if (read === null) return refusedHere(w.amountBad(currency))
      const body = { user_id: Number(id), [type === 'deposit' ? type : 'amount']: read }
      return send('POST', `/payments/${type}`, body, key)
    },
    done: show,
  })
}

/** The first steps of a new database: a user with money, and a deposit. */
export async function tryItOut(): Promise<void> {
  const { tryIt } = words.value
  const user = await send<{ id: number }>('POST', '/users', { balance: '1000' }, newKey())
  if (user.kind !== 'ok') return untold(tryIt, user)
  const body = { user_id: user.data.id, deposit: '200' }
  const made = await send('POST', '/payments/deposit', body, newKey())
  if (made.kind === 'ok') show(made.data)
  else untold(tryIt, made)
}

function untold(title: string, answer: Answer<unknown>): void {
  tell(title, answer.kind === 'refused' ? refusal(answer.problem) : words.value.actLost)
}

function show(made: unknown): void {
  go(hrefOf('payments', (made as { payment_id: number }).payment_id))
}
