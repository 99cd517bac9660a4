import { CURRENCIES, type Exponent } from '../domain/currency.ts'

/** What Stripe charges in, of the currencies of ISO 4217. */
const CHARGED =
  'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD ' +
  'CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ ' +
  'GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR ' +
  'LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB ' +
  'PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS ' +
  'TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW'

/** Decimals at Stripe where they are not those of ISO 4217. */
const OWN: Readonly<Record<string, Exponent>> = { ISK: 2, UGX: 2, MGA: 0 }

/** Amounts at Stripe that must be whole units although they are written with decimals. */
const WHOLE: ReadonlySet<string> = new Set(['ISK', 'UGX'])
/** The same of what is paid out. */
const WHOLE_PAYOUTS: ReadonlySet<string> = new Set(['HUF', 'TWD'])

/** Every currency that Stripe takes, with its decimals there. */
export const STRIPE_CURRENCIES: ReadonlyMap<string, Exponent> = new Map(
  CHARGED.split(' ').map((code) => [code, OWN[code] ?? CURRENCIES.get(code) ?? 2] as const),
)

/** An amount of ours: minor units, and how many decimals those are. */
interface Money {
  readonly amount: bigint
  readonly currency: string
  readonly exponent: Exponent
}

/**
 * The amount in Stripe's units; null: Stripe has no such currency, or cannot express the amount. Of
 * three decimals the last must be 0.
 */
export function toStripe({ amount, currency, exponent }: Money, payout: boolean): bigint | null {
  const there = STRIPE_CURRENCIES.get(currency)
  if (there === undefined) return null
  const units = scaled(amount, exponent, there)
  if (units === null) return null
  const whole = WHOLE.has(currency) || (payout && WHOLE_PAYOUTS.has(currency))
  const step = whole ? 10n ** BigInt(there) : there === 3 ? 10n : 1n
  return units % step === 0n ? units : null
}

/** Stripe's units in minor units of ours; null: it is no amount that we can express. */
export function fromStripe(
  units: unknown,
  { currency, exponent }: Omit<Money, 'amount'>,
): bigint | null {
  const there = STRIPE_CURRENCIES.get(currency)
  if (there === undefined || typeof units !== 'number' || !Number.isSafeInteger(units)) return null
  return scaled(BigInt(units), there, exponent)
}

function scaled(amount: bigint, from: Exponent, to: Exponent): bigint | null {
  if (to >= from) return amount * 10n ** BigInt(to - from)
  const step = 10n ** BigInt(from - to)
  return amount % step === 0n ? amount / step : null
}
