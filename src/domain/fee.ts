import assert from 'node:assert'

/** The commission's rule. Part of every payment's row, so that a later change rewrites nothing. */
export interface Fee {
  /** Basis points of the amount: 200 is 2 %. */
  readonly bps: number
  /** The least commission in minor units; 0 for none. */
  readonly min: bigint
}

/** The commission on `amount`, in minor units: half-up to the minor unit, in integer arithmetic. */
export function commission(amount: bigint, fee: Fee): bigint {
  assert(amount > 0n)
  const share = (amount * BigInt(fee.bps) + 5_000n) / 10_000n
  return share > fee.min ? share : fee.min
}
