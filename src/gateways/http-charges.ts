import { readExactJson } from '../domain/exact-json.ts'
import { printable } from '../domain/printable.ts'
import { reasonOf } from '../domain/error-reason.ts'
import { SAID_KINDS } from '../domain/returns.ts'
import { isPassing } from './driver-lists.ts'
import { kindIn } from './http-back.ts'
import { fieldsIn, isFields, refIn, type ReplyFields } from './http-reply.ts'
import { clearRows, hasKeyTwice, withClearRows } from './json-keys.ts'
import type { GatewayReturn } from '../domain/gateway-return.ts'
import { GatewayUnreadable, type GatewayCharge, type ListCharges } from '../ports.ts'

/** How long one page may take, in milliseconds, and how many charges are asked for. */
const PAGE_MS_MAX = 30_000
const PAGE_SIZE = 1_000
/** Four KiB for each charge of a page: twenty times what one takes. */
const PAGE_BYTES_MAX = PAGE_SIZE * 4_096

/**
 * Lists charges of a gateway that has `GET {url}/charges?after=&limit=`, as the mock gateway does.
 * Nothing about the list is trusted: a page is read up to a size and within a time, no redirect is
 * followed, and every page has charges and lies behind the one before. A call throws
 * `GatewayUnreadable` for every answer that is not such a list. `headers` are names and values in
 * turn.
 */
export function httpCharges(url: string, headers: readonly string[] = []): ListCharges {
  return async (after) => {
    const page = await readPage(
      `${url.replace(/\/+$/, '')}/charges?after=${after}&limit=${PAGE_SIZE}`,
      headers,
    )
    const { data, next_after: next } = page.fields
    if (!Array.isArray(data) || !(next === null || typeof next === 'number')) {
      throw new GatewayUnreadable('the gateway answered GET /charges with something else')
    }
    if (next !== null && (!Number.isSafeInteger(next) || next <= after || data.length === 0)) {
      throw new GatewayUnreadable(`the gateway's list of charges does not go on behind ${after}`)
    }
    const rows = clearRows(page.text, page.fields, 'data')
    if (rows.some(({ row, text }) => row === null && text !== null)) {
      throw new GatewayUnreadable('the gateway listed a charge that has a key twice')
    }
    const charges = rows.map(({ row }) => toCharge(row))
    const told = data.map((item) => fieldsIn(item)['returns']).filter(Array.isArray)
    // A gateway that tells what came back of one charge tells it of all.
    const tells = told.length === 0 ? [] : SAID_KINDS
    // What cannot be believed may be booked by people, under its name.
    const names = told.flat().flatMap((one) => refIn(fieldsIn(one)['gateway_ref']) ?? [])
    return { charges, returns: rows.flatMap(returnsOf), tells, names, next }
  }
}

/** A page as it was read, and its text; it is an object with no key twice. */
interface Page {
  readonly fields: ReplyFields
  readonly text: string
}

async function readPage(url: string, given: readonly string[]): Promise<Page> {
  // Until it has answered.
  let passing = true
  try {
    const signal = AbortSignal.timeout(PAGE_MS_MAX)
    const headers = new Headers()
    for (let at = 0; at < given.length; at += 2)
      headers.append(given[at] ?? '', given[at + 1] ?? '')
    const response = await fetch(url, { signal, headers, redirect: 'manual' })
    if (!response.ok) {
      passing = isPassing(`http_${response.status}`)
      throw new Error(`status ${response.status}`)
    }
    passing = false
    const text = await readBody(response)
    const fields = readExactJson(text)
    if (!isFields(fields)) throw new Error('no JSON object')
    if (hasKeyTwice(text, fields)) throw new Error('a JSON object that has a key twice')
    return { fields, text }
  } catch (error) {
    throw new GatewayUnreadable(
      `the gateway's GET /charges cannot be read (--gateway, ${new URL(url).origin}): ` +
        printable(reasonOf(error)),
      { cause: error, passing },
    )
  }
}

/** A body of at most `PAGE_BYTES_MAX`, counted as it arrives and after it was unpacked. */
async function readBody(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop early cancels the rest of the body.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > PAGE_BYTES_MAX) throw new Error(`a page of more than ${PAGE_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
}

/** A charge without a payment's id cannot be compared with anything: that is no list of charges. */
function toCharge(item: unknown): GatewayCharge {
  // Whatever it is, its fields are checked one by one.
  const row = Object(item) as Record<string, unknown>
  const { payment_id: paymentId, idempotency_key: key, amount, currency, type } = row
  const { gateway_ref: ref } = row
  // A text where a double might lose digits.
  if (!/^(0|[1-9]\d{0,17})$/.test(String(paymentId))) {
    throw new GatewayUnreadable('the gateway listed a charge without a payment_id')
  }
  return {
    paymentId: BigInt(String(paymentId)),
    key: typeof key === 'string' ? key : null,
    amount,
    currency: typeof currency === 'string' ? currency : null,
    type: String(type),
    ref: typeof ref === 'string' ? ref : null,
  }
}

/**
 * What came back of a charge, where the list tells it as a lookup does: nothing of what has a key
 * twice.
 */
function returnsOf({ row: item, text }: ReturnType<typeof clearRows>[number]): GatewayReturn[] {
  const { paymentId, currency: charged } = toCharge(item)
  const { returns } = withClearRows(text ?? '', fieldsIn(item), 'returns')
  const rows = Array.isArray(returns) ? returns.map(fieldsIn) : []
  return rows.flatMap((row) => {
    const ref = refIn(row['gateway_ref'])
    const ms = typeof row['at'] === 'string' ? Date.parse(row['at']) : NaN
    const at = Number.isNaN(ms) ? null : new Date(ms)
    const { amount, currency = charged } = row
    const money = { amount, currency: typeof currency === 'string' ? currency : charged }
    const about = { paymentId, parentRef: null, kind: kindIn(row['kind']), ...money }
    return ref === null ? [] : [{ ...about, ref, at }]
  })
}
