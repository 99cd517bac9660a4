import { BlockList, isIP } from 'node:net'
import type { Notice, RawNotice } from '../ports.ts'
import type { Operation } from '../domain/payment.ts'
import { paymentIn } from './driver.ts'
import { fieldsIn, objectOf } from './http-reply.ts'
import { OUR_YOOKASSA_NAMES, refOf } from './yookassa-reply.ts'

/** Networks from which YooKassa says that it sends notices. Nothing of a notice is signed. */
const NETWORKS = [
  '77.75.153.0/25',
  '77.75.154.128/25',
  '77.75.156.11/32',
  '77.75.156.35/32',
  '185.71.76.0/27',
  '185.71.77.0/27',
  '2a02:5180:0:1509::/64',
  '2a02:5180:0:1533::/64',
  '2a02:5180:0:2655::/64',
  '2a02:5180:0:2669::/64',
] as const

const TRUSTED = trusted()

function trusted(): BlockList {
  const list = new BlockList()
  for (const network of NETWORKS) {
    const [address = '', bits] = network.split('/')
    list.addSubnet(address, Number(bits), familyOf(address))
  }
  return list
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}

/** Whether an address is one of YooKassa's; one that is written as IPv6 may be of IPv4. */
export function isTrusted(source: string): boolean {
  const address = source.replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(address) !== 0 && TRUSTED.check(address, familyOf(address))
}

/** What an event is about, by the part of its name before the point. */
const SUBJECTS: ReadonlyMap<string, Operation> = new Map([
  ['payment', 'charge'],
  ['payout', 'payout'],
  ['refund', 'refund'],
])

/**
 * Read a notice of YooKassa. It is never more than a hint: nothing is signed, so only our own
 * question to YooKassa tells what is true. From an address that is not YooKassa's it is refused.
 * `dedupeKey` is the same for a notice that is sent again.
 */
export function readYookassaNotice({ source, body }: RawNotice): Notice {
  if (!isTrusted(source)) return { kind: 'refused', reason: 'source_unknown' }
  const fields = objectOf(body)
  const { event } = fields ?? {}
  const match = typeof event === 'string' ? /^([a-z_]{1,20})\.([a-z_]{1,30})$/.exec(event) : null
  if (fields === null || fields['type'] !== 'notification' || match === null) {
    return { kind: 'refused', reason: 'malformed' }
  }
  const [name, subject = '', status = ''] = match
  const object = fieldsIn(fields['object'])
  const ref = refOf(object['id'])
  const operation = SUBJECTS.get(subject)
  if (ref === null) return { kind: 'refused', reason: 'malformed' }
  // Of things that we do not use: it is taken, so that it is not sent again.
  if (operation === undefined) return { kind: 'ignored', reason: 'other_event' }
  const paymentId = paymentIn(object['metadata'], OUR_YOOKASSA_NAMES)
  const dedupeKey = `${name}:${ref}`
  const named = { operation, ref, paymentId, event: name, status, dedupeKey }
  const about = status === 'succeeded' ? named : { ...named, noNewsOf: ['failed'] as const }
  // A refund that we have not made has nothing of ours but its payment.
  const parentRef = operation === 'refund' ? refOf(object['payment_id']) : null
  return { kind: 'hint', ...about, ...(parentRef === null ? {} : { parentRef }) }
}
