import { exponentOf } from '../../src/domain/currency.ts'
import { fromWire } from '../../src/domain/money.ts'
import { describe, read } from '../client.ts'
import { settle, type Drive, type Seen, type Wire } from './drive.ts'
import type { Check } from './inspect.ts'

/** What the accounts of one currency come to, as the ledger shows it. */
export interface CurrencyBooks {
  readonly currency: string
  readonly accounts: Readonly<Record<string, Wire>>
  readonly sum: Wire
}

/** A currency without decimals, so that nothing of it can pass for cents. */
const CURRENCY = 'JPY'
const BALANCE = 10_000
const DEPOSIT = 1_500
const REFUND = 500
/** The gateway fails on purpose: a payment that failed is asked for again, at most so often. */
const TRIES_MAX = 20

/**
 * A user in yen pays in and gets a part of it back. Its balance must be what the outcomes of its
 * payments make it, in whole yen; one in doubt ends the try.
 */
export async function payAbroad(drive: Drive): Promise<Check> {
  const user = { balance: BALANCE, currency: CURRENCY }
  const { id } = await asked<{ id: number }>(drive, '/api/v1/users', user)
  const paid = await untilSuccess(drive, '/api/v1/payments/deposit', {
    user_id: id,
    deposit: DEPOSIT,
  })
  const path = `/api/v1/payments/${paid?.payment_id}/refunds`
  const body = { amount: REFUND, reason: 'a part of it' }
  const back = paid === null ? null : await untilSuccess(drive, path, body)
  const { balance } = await read<{ balance: Wire }>(drive.api, `/api/v1/users/${id}`)
  const commission = yen(paid?.commission ?? 0)
  const expected =
    BigInt(BALANCE) +
    (paid === null ? 0n : BigInt(DEPOSIT) - commission) -
    (back === null ? 0n : BigInt(REFUND))
  const done = paid !== null && back !== null
  return {
    name: 'A user in yen pays in and gets a part back, in whole yen',
    // What is in doubt is still held, or still to come.
    ok: !done || yen(balance) === expected,
    detail: done
      ? `${BALANCE} + ${DEPOSIT} - ${commission} - ${REFUND} = ${balance}`
      : 'one is in doubt, so the balance still moves',
  }
}

/** The trial balance of each currency, that of the books first. */
export async function booksOf({ api }: Drive): Promise<CurrencyBooks[]> {
  const ledger = await read<CurrencyBooks & { others: CurrencyBooks[] }>(api, '/api/v1/ledger')
  const { currency, accounts, sum, others } = ledger
  return [{ currency, accounts, sum }, ...others.map((one) => ({ ...one }))]
}

/** Ask until one succeeds; null: one is in doubt, or all have failed. */
async function untilSuccess(drive: Drive, path: string, body: object): Promise<Seen | null> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const { payment_id: id } = await asked<{ payment_id: number }>(drive, path, body)
    const seen = (await settle(drive, [id], () => undefined)).get(id)
    if (seen?.status === 'success') return seen
    if (seen?.status !== 'failed') return null
  }
  return null
}

async function asked<Body>({ api }: Drive, path: string, body: object): Promise<Body> {
  const reply = await api.post(path, body)
  if (reply.status >= 300) throw new Error(`POST ${path} was answered with ${describe(reply)}.`)
  // The service's own answer to what it accepted.
  return reply.body as Body
}

function yen(wire: Wire): bigint {
  return fromWire(wire, exponentOf(CURRENCY) ?? 0) ?? -1n
}
