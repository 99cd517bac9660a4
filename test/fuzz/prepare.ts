import { API, type Target } from '../hostile/target.ts'

/** Ids up to this many are tried as valid ones. */
const USERS = 9
const LETTERS = 6

/** Give the valid requests something to find: users, payments and open dead letters 1 to 6. */
export async function prepare(target: Target): Promise<void> {
  for (let user = 1; user <= USERS; user += 1) {
    await target.json('POST', `${API}/users`, { balance: 1_000_000_000 })
  }
  await target.json('POST', `${API}/payments/deposit`, { user_id: 1, deposit: 10 })
  await target.quiet()
  await target.turn({ decline: 1 })
  for (let letter = 1; letter <= LETTERS; letter += 1) {
    const body = { user_id: letter, amount: 10 }
    await target.json('POST', `${API}/payments/withdraw`, body)
  }
  await target.quiet()
  await target.turn({ decline: 0 })
}
