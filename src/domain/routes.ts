import { exponentOf } from './currency.ts'
import type { PaymentType } from './payment.ts'

/** Where payments of a type and a currency go; null: whatever their type or currency is. */
export interface RouteRule {
  readonly type: PaymentType | null
  readonly currency: string | null
  readonly gateway: string
}

/** What a gateway may be called: it is a part of the names of its settings, and of paths. */
export const GATEWAY_NAME = /^[a-z][a-z0-9]{0,19}$/

const RULE = /^(?:(deposit|withdraw|\*)(?::([A-Za-z]{3}|\*))?)=([a-z][a-z0-9]{0,19})$/

/**
 * Read ordered rules such as `withdraw:EUR=bank, *:RUB=local, *=http`. Undefined for what is not
 * such a list, or names what is no currency.
 */
export function parseRoutes(text: string): readonly RouteRule[] | undefined {
  const rules: RouteRule[] = []
  for (const part of text.split(',')) {
    const match = RULE.exec(part.trim())
    if (match === null) return undefined
    const [, type = '*', code = '*', gateway = ''] = match
    const currency = code === '*' ? null : code.toUpperCase()
    if (currency !== null && exponentOf(currency) === undefined) return undefined
    rules.push({ type: type === '*' ? null : (type as PaymentType), currency, gateway })
  }
  return rules
}
