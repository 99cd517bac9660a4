import { NO_EVIDENCE, type GatewayTerms } from '../src/domain/evidence.ts'
import { type Situation } from '../src/domain/explain.ts'

export const AT = new Date('2030-01-01T12:00:00.500Z')

export const PAYMENT: Situation['payment'] = {
  id: 7n,
  userId: 1n,
  type: 'withdraw',
  status: 'new',
  amount: 5_000n,
  commission: 100n,
  feeBps: 200,
  attempts: 0,
  createdAt: AT,
  finishedAt: null,
  gatewayKey: 'key',
  idempotencyKey: null,
  lastError: null,
  refusedFor: null,
  gatewayRef: null,
  refunded: 0n,
  returned: 0n,
  parentId: null,
  feeReturned: null,
  returnKind: null,
  currency: null,
  gateway: 'http',
}

export const TASK = {
  runAt: AT,
  dueInMs: 0,
  attempts: 0,
  tries: 0,
  pending: false,
  lookups: 0,
  leased: false,
  due: false,
  inDoubt: false,
  asksPayer: false,
  lastError: null,
}

/** A gateway that honours keys for an hour and can be asked. */
export const TERMS: GatewayTerms = {
  repeats: 'first_answer',
  keyLifeMs: 3_600_000,
  lookup: 'eventual',
  timeoutMs: 5_000,
}

export const NOTHING = {
  known: { ...NO_EVIDENCE, firstSentAgeMs: 60_000 },
  terms: TERMS,
  lastOutcome: null,
  doubtedBy: null,
  lateYes: false,
  redriven: false,
  resolved: null,
  letter: null,
  repeatedBy: null,
  corrected: false,
}

export type Facts = Partial<Omit<Situation, 'payment' | 'task'>> & {
  payment?: Partial<Situation['payment']>
  task?: Partial<NonNullable<Situation['task']>> | null
}

export function situation({ payment, task, ...rest }: Facts): Situation {
  const final = payment?.status === 'success' || payment?.status === 'failed'
  return {
    ...NOTHING,
    exponent: 2,
    ...rest,
    payment: { ...PAYMENT, ...(final ? { finishedAt: AT } : {}), ...payment },
    task: task === null || final ? null : { ...TASK, ...task },
  }
}

export const UNKNOWN = { status: 'unknown', lastError: 'timeout' } as const
