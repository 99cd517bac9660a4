import { operationOf, type CarriedType } from '../domain/payment.ts'
import type { Notice } from '../ports.ts'
import { objectOf } from './http-reply.ts'

const TYPES: ReadonlySet<unknown> = new Set<CarriedType>(['deposit', 'withdraw', 'refund'])

/** What a payment that failed is not asked about for. */
const NO: ReadonlySet<string> = new Set(['failed', 'declined'])

/** Read a notice of the HTTP contract. Nothing of it is signed, so it is a hint to ask. */
export function readHttpNotice(body: Buffer): Notice {
  const { payment_id: id, type, status = '' } = objectOf(body) ?? {}
  if (!TYPES.has(type) || !isId(id)) return { kind: 'refused', reason: 'malformed' }
  const said = typeof status === 'string' ? status : ''
  const about = {
    kind: 'hint' as const,
    operation: operationOf(type as CarriedType), // Just checked.
    ref: String(id),
    paymentId: BigInt(id),
    event: String(type),
    status: said,
    dedupeKey: `${String(type)}:${id}:${said}`,
  }
  return NO.has(said) ? { ...about, noNewsOf: ['failed'] } : about
}

function isId(id: unknown): id is number {
  return typeof id === 'number' && Number.isSafeInteger(id) && id > 0
}
