import type { PaymentDraft } from '../src/domain/acceptance.ts'
import { type TestWorld } from './harness.ts'

export const withdraw = (userId: bigint, idempotencyKey: string | null = null): PaymentDraft => {
  return { type: 'withdraw', userId, amount: 100n, idempotencyKey }
}

export const deposit = (userId: bigint, idempotencyKey: string | null = null): PaymentDraft => {
  return { type: 'deposit', userId, amount: 100n, idempotencyKey }
}

export async function users(world: TestWorld, count: number): Promise<bigint[]> {
  const opened: bigint[] = []
  for (let index = 0; index < count; index += 1) opened.push(await world.user(100_000n))
  return opened
}
