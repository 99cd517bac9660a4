import { exponentOf } from './currency.ts'
import type { GatewayProfile } from './gateway-profile.ts'
import { GATEWAY, operationOf, type PaymentType } from './payment.ts'

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

/** What of a gateway says where payments go. */
type Carrier = Pick<GatewayProfile, 'operations' | 'currencies'>

/** Whether a gateway carries out payments of this type in this currency. */
function carries({ operations, currencies }: Carrier, type: PaymentType, currency: string) {
  return operations.has(operationOf(type)) && (currencies === 'any' || currencies.has(currency))
}

/** Where payments go. */
export interface Routing {
  /** The gateway of all payments that name none, whatever they are; null: it depends. */
  readonly always: string | null
  /** Where one goes that names no gateway; null: none carries it out. */
  to(type: PaymentType, currency: string): string | null
  /** The gateways that carry it out. */
  of(type: PaymentType, currency: string): readonly string[]
}

/** Where all payments go of a service with one gateway that carries out everything. */
export const UNROUTED: Routing = { always: GATEWAY, to: () => GATEWAY, of: () => [GATEWAY] }

/**
 * Route by rules and by what the gateways carry out: the first rule counts that fits and whose
 * gateway can do it. Without rules the gateways in their order.
 */
export function routing(
  profiles: ReadonlyMap<string, Carrier>,
  given: readonly RouteRule[] | null,
): Routing {
  const all = [...profiles.keys()]
  const rules = given ?? all.map((gateway) => ({ type: null, currency: null, gateway }))
  const of = (type: PaymentType, currency: string) =>
    all.filter((name) => carries(profiles.get(name) as Carrier, type, currency))
  const [first] = rules
  const profile = profiles.get(first?.gateway ?? '')
  const whole =
    first?.type === null &&
    first.currency === null &&
    profile?.currencies === 'any' &&
    profile.operations.has('charge') &&
    profile.operations.has('payout')
  return {
    always: whole ? first.gateway : null,
    to(type, currency) {
      if (whole) return first.gateway
      const can = of(type, currency)
      const rule = rules.find(
        (one) =>
          (one.type ?? type) === type &&
          (one.currency ?? currency) === currency &&
          can.includes(one.gateway),
      )
      return rule?.gateway ?? null
    },
    of,
  }
}
