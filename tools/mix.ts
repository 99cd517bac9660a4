/** A payment that a load asks for. */
interface Order {
  readonly type: 'deposit' | 'withdraw'
  /** Which of the users, from 0. */
  readonly user: number
  /** Minor units. */
  readonly amount: number
}

/**
 * Draw the next payment of a load: deposits and withdrawals half each, of users and amounts evenly
 * spread. The same numbers of `random` give the same payment.
 */
export function drawOrder(
  random: () => number,
  of: { readonly users: number; readonly amountMin: number; readonly amountMax: number },
): Order {
  const { users, amountMin, amountMax } = of
  return {
    type: random() < 0.5 ? 'deposit' : 'withdraw',
    user: Math.floor(random() * users),
    amount: amountMin + Math.floor(random() * (amountMax - amountMin + 1)),
  }
}
