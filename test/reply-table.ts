import { FAULT_SETTINGS } from '../src/mock-gateway/faults.ts'
import { DECLINE_WORDS } from '../src/domain/decline.ts'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { chargeKind, lookupKind, type Shape } from '../src/domain/reply-outcome.ts'
import { STRIPE_WORDS } from '../src/gateways/stripe-declines.ts'
import { readObject } from '../src/gateways/stripe-objects.ts'
import {
  stripeChargeKind,
  stripeLookupKind,
  type StripeShape,
} from '../src/gateways/stripe-reply.ts'
import {
  readFields,
  yookassaCharge,
  yookassaLookup,
  YOOKASSA_WORDS,
  type YookassaShape,
} from '../src/gateways/yookassa-reply.ts'

/** Every shape of a body, and its head in the table. */
export const SHAPES: Readonly<Record<Shape, string>> = {
  success: '`success`',
  declined: '`failed`',
  pending: '`pending`',
  rejected: '`rejected`',
  json: 'other JSON',
  page: 'a page',
  empty: 'empty',
  another: 'about another payment',
}

/** Every shape of a body of Stripe's. */
export const STRIPE_SHAPES: Readonly<Record<StripeShape, string>> = {
  success: '`succeeded`',
  declined: 'a decline',
  pending: 'not finished',
  rejected: '`invalid_request_error`',
  credential: 'about the account',
  key_in_use: '`idempotency_error`',
  trouble: '`api_error`',
  absent: 'a list without us',
  json: 'other JSON',
  page: 'a page',
  empty: 'empty',
  another: 'about another payment',
}

/** Every shape of a body of YooKassa's. */
export const YOOKASSA_SHAPES: Readonly<Record<YookassaShape, string>> = {
  succeeded: '`succeeded`',
  canceled: '`canceled`',
  pending: 'not finished',
  error: 'an error',
  forbidden: '`forbidden`',
  key_used: 'a used key',
  json: 'other JSON',
  page: 'a page',
  empty: 'empty',
  another: 'about another payment',
}

const STATUSES = Array.from({ length: 500 }, (_, index) => index + 100)
/** The function as a table, in Markdown: statuses with equal rows share one. */
function table<S extends string>(
  shapes: Readonly<Record<S, string>>,
  judge: (status: number, shape: S) => string,
): string {
  const names = Object.keys(shapes) as S[] // Its keys are the shapes.
  const groups = new Map<string, number[]>()
  for (const status of STATUSES) {
    const row = names.map((shape) => `\`${judge(status, shape)}\``).join('|')
    groups.set(row, [...(groups.get(row) ?? []), status])
  }
  const rows = [...groups].map(([row, statuses]) => [ranges(statuses), ...row.split('|')])
  return markdown([['status', ...names.map((shape) => shapes[shape])], ...rows])
}

/** `200–299, 304` of the statuses in order. */
function ranges(statuses: readonly number[]): string {
  const runs: [number, number][] = []
  for (const status of statuses) {
    const last = runs.at(-1)
    if (last?.[1] === status - 1) last[1] = status
    else runs.push([status, status])
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ')
}

/** A table in Markdown, padded the way prettier pads it. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? '').length)),
  )
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  const [head = [], ...rest] = rows
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  return [line(head), rule, ...rest.map(line)].join('\n')
}

/** Values that show something; of a chance it is 1. */
const EXAMPLES: Readonly<Record<string, number>> = {
  latency_ms: 2_000,
  latency_jitter_ms: 500,
  timeout_ms: 5_000,
  late_ms: 10_000,
  retry_after_seconds: 30,
  seed: 42,
}

/** Every fault of the sandbox, as a body that sets it, and what it does. */
function faults(): string {
  const rows = Object.entries(FAULT_SETTINGS).map(([name, { initial, max, description }]) => {
    const to = EXAMPLES[name] ?? 1
    return [`\`{"${name}": ${to}}\``, max === 1 ? '0 to 1' : `to ${max}`, `${initial}`, description]
  })
  return markdown([['body', 'range', 'at first', 'what it does'], ...rows])
}

/** The codes of a gateway by the words that they mean. */
function codes(words: ReadonlyMap<string, string>): string {
  const of = (word: string) =>
    [...words].flatMap(([code, means]) => (means === word ? [`\`${code}\``] : []))
  const rows = Object.keys(DECLINE_WORDS).map((word) => [`\`${word}\``, of(word).join(' ')])
  return markdown([['word', 'its codes'], ...rows.filter(([, own]) => own !== '')])
}

const OPERATION: GatewayOperation = {
  kind: 'charge',
  key: 'k',
  paymentId: 7n,
  userId: 1n,
  amount: 1_050n,
  commission: 0n,
  currency: 'USD',
  exponent: 2,
}

/** Objects of Stripe's in a status; the name says what else is known of them. */
const STRIPE_STATES: Readonly<Record<string, object>> = {
  succeeded: { status: 'succeeded' },
  processing: { status: 'processing' },
  pending: { status: 'pending' },
  requires_action: { status: 'requires_action' },
  requires_capture: { status: 'requires_capture' },
  requires_confirmation: { status: 'requires_confirmation' },
  'requires_payment_method, with an error': {
    status: 'requires_payment_method',
    last_payment_error: { code: 'card_declined' },
  },
  'requires_payment_method, without': { status: 'requires_payment_method' },
  failed: { status: 'failed' },
  canceled: { status: 'canceled' },
  'any other': { status: 'new_at_stripe' },
}

/** What an object's status means for a payment of ours. */
function stripeStates(): string {
  const kinds = { charge: 'payment_intent', refund: 'refund', payout: 'transfer' } as const
  const read = (kind: keyof typeof kinds, state: object) => {
    const about = { id: 'x', amount: 1_050, currency: 'usd', metadata: { payments_key: 'k' } }
    const word = readObject({ object: kinds[kind], ...about, ...state }, { ...OPERATION, kind })
    return word === null || word === 'another' ? '`in_doubt`' : `\`${word.kind}\``
  }
  const rows = Object.entries(STRIPE_STATES).map(([name, state]) => {
    const [status = '', ...more] = name.split(',')
    const title = name === 'any other' ? name : [`\`${status}\``, ...more].join(',')
    return [title, read('charge', state), read('refund', state)]
  })
  const transfer = ['none: a transfer has no status', '', '', read('payout', {})]
  const head = ['status', 'payment intent', 'refund', 'transfer']
  return markdown([head, ...rows.map((row) => [...row, '']), transfer])
}

/** The same of objects of YooKassa's: those of all kinds have the same. */
function yookassaStates(): string {
  const amount = { value: '10.50', currency: 'USD' }
  const object = { id: 'x', amount, metadata: { payment_key: 'k' } }
  const rows = ['succeeded', 'pending', 'waiting_for_capture', 'canceled', 'any other'].map(
    (status) => {
      const { shape } = readFields({ ...object, status }, OPERATION)
      const title = status === 'any other' ? status : `\`${status}\``
      return [title, `\`${yookassaCharge(200, shape)}\``]
    },
  )
  return markdown([['status', 'what it is here'], ...rows])
}

/** The tables of docs/gateways.md, by the marks around them. */
export const TABLES: Readonly<Record<string, string>> = {
  charges: table(SHAPES, (status, shape) => chargeKind(status, shape)),
  lookups: table(SHAPES, (status, shape) => lookupKind(status, shape)),
  declines: markdown([
    ['word', 'what it means'],
    ...Object.entries(DECLINE_WORDS).map(([word, meaning]) => [`\`${word}\``, meaning]),
  ]),
  'stripe charges': table(STRIPE_SHAPES, (status, shape) => stripeChargeKind(status, shape)),
  'stripe lookups': table(STRIPE_SHAPES, (status, shape) => stripeLookupKind(status, shape)),
  'yookassa charges': table(YOOKASSA_SHAPES, (status, shape) => yookassaCharge(status, shape)),
  'yookassa lookups': table(YOOKASSA_SHAPES, (status, shape) => yookassaLookup(status, shape)),
  'stripe states': stripeStates(),
  'stripe codes': codes(STRIPE_WORDS),
  'yookassa states': yookassaStates(),
  'yookassa codes': codes(YOOKASSA_WORDS),
  faults: faults(),
}

/** The page with its tables as the code has them, between their marks. */
export function withTables(page: string, tables = TABLES): string {
  return Object.entries(tables).reduce((text, [name, rows]) => {
    const marks = new RegExp(`(<!-- ${name} -->\\n)[^]*?(<!-- end of ${name} -->)`)
    return text.replace(marks, `$1\n${rows}\n\n$2`)
  }, page)
}
